"""What a market, a day or a source doesn't have is said in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.cases.world import World, walk, weekdays
from tests.factories import random_bars
from tests.upstream import LoopbackUpstream

from mlengine.core.bars.bars import PRICES
from mlengine.errors import TrainingFailed

NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


def spread_file(world: World) -> None:
    bars = random_bars("SPREAD", rows=400, start=MIDNIGHT - timedelta(days=400))
    shifted = bars.with_columns(pl.col(PRICES) - 100.0)
    shifted.write_parquet(world.bars / "SPREAD.parquet")
    world.configure(MARKET_DATA_NEGATIVE_PRICES="true")


def test_returns_of_a_spread_are_refused_with_what_to_do(world: World) -> None:
    spread_file(world)
    with pytest.raises(TrainingFailed, match="prices above zero: use direction"):
        world.train("SPREAD", objective="return")


def test_a_set_of_which_nothing_is_left_is_refused_by_its_features(world: World) -> None:
    rows = [(*row[:4], 0) for row in walk(400)]
    world.csv("FX.csv", weekdays(400), rows)
    world.configure(FEATURE_SETS="tests.cases.volume_only")
    with pytest.raises(TrainingFailed, match=r"each feature needs volume .*: turnover"):
        world.train("FX", feature_set="turnover")


def test_a_day_without_a_session_ends_with_its_local_day(world: World) -> None:
    world.write("symbols.csv", "symbol,calendar\nNY,XNYS\n")
    days = weekdays(400)
    world.csv("NY.csv", days, walk(400))
    friday = next(day for day in reversed(days[:-5]) if day.weekday() == 4)
    answer = world.predict("NY", as_of=friday + timedelta(days=1))
    assert datetime.fromisoformat(answer["bar_timestamp"]).date() <= friday
    assert datetime.fromisoformat(answer["as_of"]).weekday() == 6


def test_recorded_bars_are_exported_by_interval_and_symbol(world: World, tmp_path: Path) -> None:
    world.csv("BRK B.csv", weekdays(400), walk(400))
    for symbol in ("GOOD", "BRK B"):
        world.predict(symbol)
    counts = world.platform.bars.export(tmp_path / "out")
    assert set(counts) == {"GOOD", "BRK B"}
    for name, symbol in (("GOOD", "GOOD"), ("BRK%20B", "BRK B")):
        frame = pl.read_parquet(tmp_path / "out" / "1d" / f"{name}.parquet")
        assert frame.height == counts[symbol] >= 64
        assert frame["symbol"].unique().to_list() == [symbol]


def test_the_quality_of_a_service_has_examples_without_a_file(world: World) -> None:
    bars = random_bars("AAA", rows=400, start=MIDNIGHT - timedelta(days=400))
    last = bars["timestamp"][-1]
    with LoopbackUpstream(bars) as upstream:
        upstream.shape = lambda c: {**c, "close": None} if c["timestamp"] < "2026" else c
        upstream.add("AAA", last, {"timestamp": last.isoformat(), "open": "?"})
        world.configure(MARKET_DATA_BASE_URL=upstream.url)
        status, quality = world.get("/bars/quality", symbol="AAA")
        assert (status, quality["dropped"]["not_finite"] >= 1) == (200, True)
        assert quality["examples"]["not_finite"]["file"] is None
        refused = world.platform.bar_quality.check_full_history(["NOPE"], now=NOW)
        assert [(each.symbol, each.status) for each in refused] == [("NOPE", "refused")]


def test_an_announced_split_explains_its_jump_in_the_quality(world: World) -> None:
    days, rows = weekdays(400), walk(400)
    split = [
        (*(price / 4 for price in row[:4]), row[4] * 4) if n >= 380 else row
        for n, row in enumerate(rows)
    ]
    world.csv("SPLT.csv", days, split)  # type: ignore[arg-type]
    world.write("actions.csv", f"symbol,date,kind,value\nSPLT,{days[380]},split,4\n")
    _, raw = world.get("/bars/quality", symbol="SPLT")
    assert "unexplained_jump" in raw["reasons"]
    adjusted = World(world.folder / "adjusted")
    for path in world.bars.iterdir():
        adjusted.write(path.name, path.read_bytes())
    adjusted.configure(MARKET_DATA_ADJUST="splits")
    status, quality = adjusted.get("/bars/quality", symbol="SPLT")
    assert (status, quality["status"], quality["reasons"]) == (200, "ok", [])
    assert adjusted.predict("SPLT")["reasons"] == []


def test_the_quality_names_a_cell_that_is_no_number(world: World) -> None:
    days, rows = weekdays(400), walk(400)
    path = world.csv("ODD.csv", days, rows)
    lines = path.read_text().split("\n")
    lines[7] = f"{days[6]},100,101,99,100.3x,5"
    path.write_text("\n".join(lines))
    (odd,) = world.platform.bar_quality.check_full_history(["ODD"], now=NOW)
    assert (odd.examples["not_finite"].column, odd.examples["not_finite"].line) == ("close", 8)
    assert odd.examples["not_finite"].value == "100.3x"


def test_revised_bars_are_counted_in_quality_and_freshness(world: World) -> None:
    days, rows = weekdays(400), walk(400)
    world.csv("REV.csv", days, rows)
    world.predict("REV")
    (o, h, low, c, v) = rows[-3]
    world.csv("REV.csv", days, [*rows[:-3], (o, h, low, c, v + 1), *rows[-2:]])
    world.predict("REV")
    assert world.get("/bars/quality", symbol="REV")[1]["revised_bars"] == 1
    assert world.get("/bars/quality", symbol="GOOD")[1]["revised_bars"] == 0
    (symbol,) = world.get("/monitoring/freshness")[1]["symbols"]
    assert symbol["revised_bars"] == 1


def test_the_quality_of_a_renamed_symbol_is_that_of_all_its_bars(world: World) -> None:
    """A training takes those of the earlier name too; a split between them is seen."""
    days, rows = weekdays(400), walk(400)
    fourth = [(*(price * 4 for price in row[:4]), row[4] / 4) for row in rows]
    world.csv("OLDN.csv", days[:300], fourth[:300])  # type: ignore[arg-type]
    world.csv("NEWN.csv", days[300:], rows[300:])
    head = "symbol,date,kind,value,new_symbol\n"
    world.write("actions.csv", f"{head}OLDN,{days[300]},symbol_change,,NEWN\n")
    world.configure(MARKET_DATA_ADJUST="splits")
    status, quality = world.get("/bars/quality", symbol="NEWN")
    assert (status, quality["accepted"], quality["read"]) == (200, 400, 400)
    assert quality["reasons"] == ["unexplained_jump"]
    (checked,) = world.platform.bar_quality.check_full_history(["NEWN"], now=NOW)
    assert (checked.accepted, checked.jump_count) == (400, 1)
    world.write(
        "actions.csv", f"{head}OLDN,{days[300]},symbol_change,,NEWN\nNEWN,{days[300]},split,4,\n"
    )
    assert world.get("/bars/quality", symbol="NEWN")[1]["status"] == "ok"


def test_a_renamed_symbol_whose_earlier_bars_are_gone_has_its_own(world: World) -> None:
    days, rows = weekdays(400), walk(400)
    world.csv("NEWN.csv", days[300:], rows[300:])
    line = f"OLDN,{days[300]},symbol_change,,NEWN"
    world.write("actions.csv", f"symbol,date,kind,value,new_symbol\n{line}\n")
    world.configure(MARKET_DATA_ADJUST="splits")
    assert world.get("/bars/quality", symbol="NEWN")[1]["accepted"] == 100


def test_a_row_of_more_cells_than_the_header_is_told_by_their_number(world: World) -> None:
    path = world.csv("ODD.csv", weekdays(400), walk(400))
    lines = path.read_text().split("\n")
    lines[7] += ",7,8"
    lines[9] = lines[9].rsplit(",", 1)[0]
    path.write_text("\n".join(lines))
    (odd,) = world.platform.bar_quality.check_full_history(["ODD"], now=NOW)
    assert odd.dropped == {"no_timestamp": 2}
    example = odd.examples["no_timestamp"]
    assert (example.line, example.value) == (8, "8 cells, where the header has 6")


def test_an_answer_of_another_interval_is_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hourly = random_bars("AAA", rows=400, start=MIDNIGHT - timedelta(days=400))
    start = MIDNIGHT - timedelta(hours=399)
    hours = pl.datetime_range(start, MIDNIGHT, "1h", time_zone="UTC", eager=True)
    with LoopbackUpstream(hourly.with_columns(timestamp=hours.cast(hourly["timestamp"].dtype))) as (
        upstream
    ):
        world.write("symbols.csv", "symbol,aliases\nAAA,AAA.N\n")
        world.configure(
            MARKET_DATA_BASE_URL=upstream.url,
            MARKET_DATA_SYMBOLS_FILE=world.bars / "symbols.csv",
        )
        refusal = world.refusal("AAA")
        upstream.shape = lambda candle: {**candle, "close": "?"}
        useless = world.refusal("AAA")
    first, *_, last = (r for r in caplog.records if r.getMessage() == "upstream answer refused")
    assert first.__dict__["reason"] in refusal["detail"]
    assert "another interval than 1d" in first.__dict__["reason"]
    assert '"candles":[{"timestamp"' in first.__dict__["answer"], "and not that of an empty page"
    assert last.__dict__["reason"] in useless["detail"]


def test_symbols_that_alone_have_no_volume_are_named_by_a_training(world: World) -> None:
    """What reads it is null for them, so that their predictions are not usable in production."""
    for number, symbol in enumerate(("FX", "FX2")):
        rows = [(*row[:4], 0) for row in walk(400, seed=number)]
        world.csv(f"{symbol}.csv", weekdays(400), rows)
    some = world.train("GOOD", "FX")
    assert some["feature_set"]["name"] == "core"
    assert "no volume, which others have: FX; features" in some["remarks"][-1]
    shares = {each["symbol"]: each.get("zero_volume_share") for each in some["data"]["series"]}
    assert shares == {"GOOD": None, "FX": 1.0}
    none = world.train("FX", "FX2")
    assert none["feature_set"]["name"] == "core.no_volume"
    assert not any("others have" in remark for remark in none["remarks"])
