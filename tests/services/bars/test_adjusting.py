from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.databases import bar_store
from tests.factories import START, random_bars
from tests.upstream import Fault, LoopbackUpstream

from mlengine.config import Settings
from mlengine.core.bars.bars import PRICES, BarArrays
from mlengine.core.features import CORE, latest
from mlengine.core.runs.progress import ProgressTracker
from mlengine.errors import UpstreamInvalid, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.services.training.training_bars import load_training_bars
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.system.dependency_states import DependencyStates

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
ROWS, WINDOW = 365, 64
SPLIT_DAY, FIRST_PAID, SECOND_PAID = 150, 100, 220
# What one would see if nothing was ever split or paid.
SMOOTH = random_bars(rows=ROWS)


def raw_bars() -> tuple[pl.DataFrame, dict[int, float]]:
    """SMOOTH as it is traded, and the dividend of each day that has one."""
    factors, shares, dividends = np.ones(ROWS), np.ones(ROWS), {}
    close = SMOOTH["close"].to_numpy()
    for day in (SECOND_PAID, SPLIT_DAY, FIRST_PAID):
        if day == SPLIT_DAY:
            factors[:day] /= 4.0
            shares[:day] *= 4.0
        else:
            factors[:day] *= 0.98
            dividends[day] = float(0.02 * close[day - 1] / factors[day - 1])
    bars = SMOOTH.with_columns(
        *(pl.col(name) / pl.Series(factors) for name in PRICES),
        pl.col("volume") / pl.Series(shares),
    )
    return bars, dividends


RAW, DIVIDENDS = raw_bars()


def line(day: int) -> str:
    date = (START + day * DAY).date()
    if day == SPLIT_DAY:
        return f"AAA,{date},split,4\n"
    return f"AAA,{date},dividend,{DIVIDENDS[day]!r}\n"


def service(folder: Path, adjustment: str = "all") -> BarService:
    return BarService(
        FilesMarketData(folder / "bars"),
        bar_store(folder),
        "1d",
        0.0,
        DependencyStates(),
        recheck_seconds=0.0,
        adjustment=adjustment,
    )


def write(folder: Path, bars: pl.DataFrame, *actions: str) -> None:
    (folder / "bars").mkdir(parents=True, exist_ok=True)
    bars.write_csv(folder / "bars" / f"{bars['symbol'][0]}.csv")
    (folder / "bars" / "actions.csv").write_text("symbol,date,kind,value\n" + "".join(actions))


def window(bars: BarService, now: datetime, as_of: datetime | None = None) -> BarArrays:
    return bars.window("AAA", bars=WINDOW, as_of=as_of, now=now).bars


def closes(day: int) -> datetime:
    """An hour after the bar of that day is final."""
    return START + (day + 1) * DAY + HOUR


def test_a_year_answers_as_of_each_day_as_it_did_then(tmp_path):
    """The first dividend is known ahead, the split on its day, the second dividend days later."""
    seen_on = {FIRST_PAID: FIRST_PAID - 20, SPLIT_DAY: SPLIT_DAY, SECOND_PAID: SECOND_PAID + 3}
    live, running = {}, service(tmp_path)
    for day in range(WINDOW, ROWS):
        actions = [line(each) for each, seen in seen_on.items() if seen <= day]
        write(tmp_path, RAW.head(day + 1), *actions)
        live[day] = window(running, closes(day))
    end = closes(ROWS - 1) + DAY
    for asked in (running, service(tmp_path)):
        answers = {day: window(asked, end, as_of=closes(day)) for day in live}
        assert [day for day in live if answers[day].payload != live[day].payload] == []
    smooth = BarArrays.of(SMOOTH)
    off = {
        day
        for day, bars in live.items()
        if not np.allclose(bars.values, scaled(smooth.slice(day + 1 - WINDOW, day + 1)), rtol=1e-12)
    }
    assert off == {SECOND_PAID, SECOND_PAID + 1, SECOND_PAID + 2}


def scaled(smooth: BarArrays) -> np.ndarray:
    """As traded at the end of the window."""
    day = (smooth.last_timestamp - START) // DAY
    row = RAW.row(day, named=True)
    prices = row["close"] / smooth.values[3, -1]
    return smooth.values * np.array([[prices]] * 4 + [[row["volume"] / smooth.values[4, -1]]])


def test_features_of_adjusted_bars_are_those_of_bars_that_never_split(tmp_path):
    write(tmp_path, RAW, *map(line, (FIRST_PAID, SPLIT_DAY, SECOND_PAID)))
    bars = service(tmp_path).history("AAA", bars=0, as_of=None, now=closes(ROWS - 1)).frame
    adjusted = latest(bars, CORE, rows=250).select(CORE.names).to_numpy()
    expected = latest(SMOOTH, CORE, rows=250).select(CORE.names).to_numpy()
    np.testing.assert_allclose(adjusted, expected, rtol=1e-6, atol=1e-9)


def test_bars_are_as_served_unless_the_setting_says_otherwise(tmp_path):
    write(tmp_path, RAW, *map(line, (FIRST_PAID, SPLIT_DAY, SECOND_PAID)))
    now, raw = closes(ROWS - 1), BarArrays.of(RAW)
    assert np.array_equal(history(service(tmp_path, "none"), now).values, raw.values)
    splits = history(service(tmp_path, "splits"), now)
    assert np.array_equal(splits.values[:4, :SPLIT_DAY], raw.values[:4, :SPLIT_DAY] / 4.0)
    assert np.array_equal(splits.values[:, SPLIT_DAY:], raw.values[:, SPLIT_DAY:])
    assert np.array_equal(service(tmp_path).stored("AAA").values, raw.values)


def history(bars: BarService, now: datetime, symbol: str = "AAA") -> BarArrays:
    return bars.history(symbol, bars=0, as_of=None, now=now).arrays


def test_an_announced_split_is_no_unexplained_jump(tmp_path):
    day = SPLIT_DAY + 10
    write(tmp_path, RAW.head(day + 1), line(FIRST_PAID), line(SPLIT_DAY))
    raw = window(service(tmp_path, "none"), closes(day))
    assert "unexplained_jump" in raw.suspect_reasons
    assert window(service(tmp_path, "splits"), closes(day)).suspect_reasons == ()


@pytest.mark.parametrize(("adjustment", "counts"), [("none", [0, 0]), ("all", [3, 0])])
def test_a_training_says_for_how_many_actions_its_bars_are_adjusted(tmp_path, adjustment, counts):
    write(tmp_path, RAW, *map(line, (FIRST_PAID, SPLIT_DAY, SECOND_PAID)))
    random_bars("BBB", rows=ROWS).write_csv(tmp_path / "bars" / "BBB.csv")
    bars = load_training_bars(
        service(tmp_path, adjustment),
        replace(Settings.from_env({}).train, symbols=("AAA", "BBB"), lookback=0),
        window_bars=WINDOW,
        now=closes(ROWS - 1),
        tracker=ProgressTracker(lambda _: None),
    )
    assert bars.adjust == adjustment
    assert [each.actions for each in bars.series] == counts


def test_windows_are_adjusted_once_a_fetch(tmp_path):
    write(tmp_path, RAW.head(SPLIT_DAY + 1), line(SPLIT_DAY))
    bars = replace(service(tmp_path), cache_seconds=3_600.0, recheck_seconds=3_600.0)
    now = closes(SPLIT_DAY)
    first = window(bars, now)
    cached = bars.cached_windows(["AAA"], bars=WINDOW, as_of=None, now=now)
    assert cached["AAA"].bars is first
    many = bars.windows_in_one_pass(["AAA"], bars=WINDOW, as_of=None, now=now)["AAA"]
    assert many.bars.payload == first.payload


def test_a_new_symbol_goes_on_where_the_earlier_one_ended(tmp_path):
    change = (START + 200 * DAY).date()
    write(tmp_path, RAW.head(200))
    later = RAW.slice(200).with_columns(pl.lit("BBB").alias("symbol"))
    later.write_csv(tmp_path / "bars" / "BBB.csv")
    header = "symbol,date,kind,value,new_symbol\n"
    text = f"{header}{line(SPLIT_DAY)}AAA,{change},symbol_change,,BBB\n"
    (tmp_path / "bars" / "actions.csv").write_text(text)
    running, now = service(tmp_path, "splits"), closes(ROWS - 1)
    joined = history(running, now, "BBB")
    assert joined.rows == ROWS
    assert joined.symbol == "BBB"
    write(tmp_path / "whole", RAW, line(SPLIT_DAY))
    whole = history(service(tmp_path / "whole", "splits"), now)
    assert np.array_equal(joined.values, whole.values)
    assert running.actions_applied("BBB", joined, at=now) == 1
    few = running.window("BBB", bars=WINDOW, as_of=START + 210 * DAY, now=now).bars
    assert few.rows == WINDOW
    assert np.array_equal(few.values, whole.values[:, 210 - WINDOW : 210])
    alone = history(service(tmp_path, "none"), now, "BBB")
    assert alone.rows == ROWS - 200


def test_a_symbol_that_changed_twice_and_back_has_all_of_its_bars(tmp_path):
    parts = {"BBB": (0, 100), "CCC": (100, 200), "AAA": (200, ROWS)}
    write(tmp_path, RAW.slice(200))
    for symbol, (first, end) in parts.items():
        bars = RAW.slice(first, end - first).with_columns(pl.lit(symbol).alias("symbol"))
        bars.write_csv(tmp_path / "bars" / f"{symbol}.csv")
    changes = [(50, "AAA", "BBB"), (100, "BBB", "CCC"), (200, "CCC", "AAA")]
    lines = [
        f"{old},{(START + day * DAY).date()},symbol_change,,{new}\n" for day, old, new in changes
    ]
    text = "".join(["symbol,date,kind,value,new_symbol\n", *lines])
    (tmp_path / "bars" / "actions.csv").write_text(text)
    running, now = service(tmp_path), closes(ROWS - 1)
    joined = history(running, now)
    assert np.array_equal(joined.values, BarArrays.of(RAW).values)
    assert joined.symbol == "AAA"
    assert window(running, now, as_of=START + 230 * DAY).rows == WINDOW


def test_a_line_that_is_refused_stops_its_symbol_until_it_was_right_once(tmp_path):
    wrong = line(SPLIT_DAY).replace("split", "splt")
    write(tmp_path, RAW, wrong)
    random_bars("BBB", rows=ROWS).write_csv(tmp_path / "bars" / "BBB.csv")
    running, now = service(tmp_path), closes(ROWS - 1)
    for _ in range(2):
        with pytest.raises(UpstreamInvalid, match=r"actions\.csv, line 2, column 'kind': 'splt'"):
            window(running, now)
    assert not running.cached_windows(["AAA"], bars=WINDOW, as_of=None, now=now)
    assert history(running, now, "BBB").rows == ROWS
    many = running.windows_in_one_pass(["AAA", "BBB"], bars=WINDOW, as_of=None, now=now)
    assert isinstance(many["AAA"], UpstreamInvalid)
    write(tmp_path, RAW, line(SPLIT_DAY))
    right = history(running, now)
    write(tmp_path, RAW, wrong)
    assert np.array_equal(history(running, now + HOUR).values, right.values)


def over_http(upstream: LoopbackUpstream, folder: Path) -> BarService:
    source = HttpMarketData(
        upstream.url,
        timeout_seconds=2.0,
        retry_attempts=0,
        retry_backoff_seconds=0.0,
        deadline_seconds=5.0,
    )
    return BarService(
        source,
        bar_store(folder),
        "1d",
        0.0,
        DependencyStates(),
        recheck_seconds=0.0,
        adjustment="all",
    )


def asked(upstream: LoopbackUpstream) -> int:
    return sum(each.path == "/actions" for each in upstream.requests)


@pytest.mark.parametrize("served", [True, False])
def test_a_service_is_asked_for_actions_once_a_day_a_symbol(tmp_path, served):
    split = {"date": str((START + SPLIT_DAY * DAY).date()), "kind": "split", "value": 4}
    with LoopbackUpstream(RAW) as upstream:
        if served:
            upstream.actions["AAA"] = [split]
        now = START + ROWS * DAY + HOUR
        for hours in (0, 3, 6, 20):
            for running in (over_http(upstream, tmp_path), over_http(upstream, tmp_path)):
                history(running, now + hours * HOUR)
        assert asked(upstream) == 1
        history(over_http(upstream, tmp_path), now + 23 * HOUR)
        assert asked(upstream) == 2


@pytest.mark.parametrize("how", ["a training", "a fetch"])
def test_actions_of_now_are_had_by_a_training_and_a_fetch(tmp_path, how):
    """An answer that came before them on this day holds neither up."""
    split = {"date": str((START + SPLIT_DAY * DAY).date()), "kind": "split", "value": 4}
    with LoopbackUpstream(RAW) as upstream:
        upstream.actions["AAA"] = []
        now = START + ROWS * DAY + HOUR
        serving, other = over_http(upstream, tmp_path), over_http(upstream, tmp_path)
        raw = history(serving, now)
        upstream.actions["AAA"] = [split]
        assert history(serving, now + HOUR).frame().equals(raw.frame())
        if how == "a fetch":
            other.ingest("AAA", now=now + 2 * HOUR)
        else:
            trained = history(replace(other, anew=True), now + 2 * HOUR)
            assert trained.values[3, 0] == raw.values[3, 0] / 4
        assert asked(upstream) == 2
        later = now + 3 * HOUR
        assert history(serving, later).values[3, 0] == raw.values[3, 0] / 4
        before = serving.history("AAA", bars=0, as_of=now + HOUR, now=later).arrays
        assert before.frame().equals(raw.frame())


def test_a_service_that_fails_is_an_error_until_actions_are_known(tmp_path):
    with LoopbackUpstream(RAW) as upstream:
        upstream.actions["AAA"] = []
        running, now = over_http(upstream, tmp_path), START + ROWS * DAY + HOUR
        upstream.actions_fault = Fault(status=503)
        with pytest.raises(UpstreamUnavailable):
            window(running, now)
        upstream.actions_fault = None
        assert window(running, now + 9 * SECOND).rows == WINDOW
        upstream.actions_fault = Fault(status=503)
        assert window(running, now + DAY).rows == WINDOW
        count = asked(upstream)
        window(running, now + DAY + 30 * SECOND)
        assert asked(upstream) == count
        window(running, now + DAY + HOUR)
        assert asked(upstream) == count + 1


@pytest.mark.parametrize(("count", "is_gone"), [(2, True), (3, False)])
def test_many_actions_that_are_gone_at_once_are_an_empty_answer(tmp_path, count, is_gone):
    """One or two may have been taken back."""
    paid = [{"date": str((START + day * DAY).date()), "kind": "dividend", "value": 1}
            for day in (100, 200, 300)[:count]]  # fmt: skip
    with LoopbackUpstream(RAW) as upstream:
        upstream.actions["AAA"] = paid
        running, now = over_http(upstream, tmp_path), START + ROWS * DAY + HOUR
        adjusted = history(running, now)
        upstream.actions["AAA"] = []
        raw = history(running, now + DAY)
        assert (raw.values[3, 0] != adjusted.values[3, 0]) == is_gone
        upstream.actions["AAA"] = paid
        assert history(running, now + 2 * DAY).values[3, 0] == adjusted.values[3, 0]


@pytest.mark.parametrize("status", [200, 503])
def test_many_threads_ask_a_service_once_for_the_actions_of_a_symbol(tmp_path, status):
    with LoopbackUpstream(RAW) as upstream, ThreadPoolExecutor(20) as threads:
        upstream.actions_fault = Fault(status=status, delay_seconds=0.2)
        running, now = over_http(upstream, tmp_path), START + ROWS * DAY + HOUR
        results = [threads.submit(window, running, now) for _ in range(20)]
        failures = [each for each in results if each.exception() is not None]
        assert len(failures) == (0 if status == 200 else 20)
        assert asked(upstream) == 1


def test_a_batch_of_recorded_bars_leaves_to_others_what_a_service_has_to_be_asked(tmp_path):
    with LoopbackUpstream(RAW) as upstream:
        now = START + ROWS * DAY + HOUR
        recorded = replace(over_http(upstream, tmp_path), adjustment="none", cache_seconds=3_600.0)
        window(recorded, now)
        running = replace(over_http(upstream, tmp_path), cache_seconds=3_600.0)
        assert running.windows_in_one_pass(["AAA"], bars=WINDOW, as_of=None, now=now) == {}
        assert asked(upstream) == 0
        window(running, now)
        assert "AAA" in running.windows_in_one_pass(["AAA"], bars=WINDOW, as_of=None, now=now)


def write_change(folder: Path) -> None:
    """BBB goes on from day 200; AAA, which it was until then, may have no file."""
    (folder / "bars").mkdir(parents=True, exist_ok=True)
    later = RAW.slice(200).with_columns(pl.lit("BBB").alias("symbol"))
    later.write_csv(folder / "bars" / "BBB.csv")
    change = f"AAA,{(START + 200 * DAY).date()},symbol_change,,BBB\n"
    text = f"symbol,date,kind,value,new_symbol\n{change}"
    (folder / "bars" / "actions.csv").write_text(text)


def test_a_new_symbol_begins_with_its_own_bars_where_the_earlier_one_is_unknown(tmp_path):
    write_change(tmp_path)
    joined = history(service(tmp_path), closes(ROWS - 1), "BBB")
    assert np.array_equal(joined.values, BarArrays.of(RAW).values[:, 200:])


def test_a_new_symbol_goes_on_where_the_recorded_bars_of_an_earlier_one_end_that_is_gone(tmp_path):
    """Most services know an old name no more once there is a new one."""
    write(tmp_path, RAW.head(200))
    running, then = service(tmp_path), closes(199)
    history(running, then)
    (tmp_path / "bars" / "AAA.csv").unlink()
    write_change(tmp_path)
    for bars in (running, service(tmp_path)):
        joined = history(bars, closes(ROWS - 1), "BBB")
        assert np.array_equal(joined.values, BarArrays.of(RAW).values)
        few = bars.window("BBB", bars=WINDOW, as_of=closes(209), now=closes(ROWS - 1))
        assert np.array_equal(few.bars.values, joined.values[:, 210 - WINDOW : 210])
        assert few.origin.point_in_time == "reconstructed"


def test_memory_does_not_answer_for_a_new_symbol_without_the_bars_of_the_earlier_one(tmp_path):
    write(tmp_path, RAW.head(200))
    write_change(tmp_path)
    bars = replace(service(tmp_path), cache_seconds=3_600.0, recheck_seconds=3_600.0)
    now = closes(ROWS - 1)
    bars.window("BBB", bars=WINDOW, as_of=None, now=now)
    assert "BBB" in bars.cached_windows(["BBB"], bars=WINDOW, as_of=None, now=now)
    assert history(replace(bars, adjustment="none"), now, "BBB").rows == ROWS - 200, "all it has"
    assert bars.cached_windows(["BBB"], bars=ROWS - 100, as_of=None, now=now) == {}
    assert bars.window("BBB", bars=ROWS - 100, as_of=None, now=now).bars.rows == ROWS - 100
    assert "BBB" in bars.cached_windows(["BBB"], bars=ROWS - 100, as_of=None, now=now)


def test_past_the_store_a_line_that_is_refused_stops_its_symbol_too(tmp_path):
    write(tmp_path, RAW, line(SPLIT_DAY).replace("split", "splt"))
    with pytest.raises(UpstreamInvalid, match="'splt'"):
        service(tmp_path).fetch_bypassing_store("AAA", bars=0, now=closes(ROWS - 1))
