from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.platforms import NOW, make_platform
from tests.published import TRAINED_THROUGH, publish, tiny_holdout
from tests.scored_market import DAY, ScoredMarket
from tests.services.signals.test_scoring import SYMBOLS, scored_market

from mlengine.bootstrap.platform import Platform
from mlengine.core.signals.panel import PANEL_SCHEMA
from mlengine.core.signals.signal import SignalQuery
from mlengine.errors import CannotWrite, ModelNotFound
from mlengine.services.signals import panel as panels
from mlengine.stores.signals.formats import to_format
from mlengine.stores.system import table_files

FIRST = TRAINED_THROUGH - timedelta(days=30)
MOST = 10_000


def folds(scores: list[float]) -> bytes:
    return table_files.to_parquet(
        pl.DataFrame(
            {
                "symbol": ["AAA"] * len(scores),
                "timestamp": [FIRST + timedelta(days=day) for day in range(len(scores))],
                "fold": [1] * len(scores),
                "score": scores,
            },
            schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
        )
    )


def with_history(folder: Path) -> Platform:
    platform = make_platform(folder)
    beside = {"out_of_fold.parquet": folds([0.4, 0.6])}
    publish(platform.registry.directory, seed=2, run_id="r2", beside=beside)
    platform.models.activate("v2", actor="t", reason="t", now=NOW + timedelta(days=1))
    return platform


def rows(platform: Platform, **asked: object) -> pl.DataFrame:
    panel = platform.signals.panel(SignalQuery(**asked), most_rows=MOST)  # type: ignore[arg-type]
    assert panel is not None
    return panel.rows


def test_the_past_is_what_models_said_that_had_not_seen_it(tmp_path: Path) -> None:
    panel = rows(with_history(tmp_path))
    assert panel.schema == PANEL_SCHEMA
    past = panel.filter(source="out_of_fold")
    assert past["score"].to_list() == [0.4, 0.6]
    assert past["prediction"].to_list() == ["down", "up"]
    assert set(panel["model_version"]) == {"v2"}
    assert not panel["in_sample"].any()
    assert panel["usable"].null_count() == panel.height
    holdout = panel.filter(source="holdout")
    assert holdout["score"].to_list() == tiny_holdout(2)["score"].to_list()
    assert panel["bar_timestamp"].is_sorted()


def test_a_version_from_before_folds_were_kept_tells_of_its_holdout_alone(tmp_path: Path) -> None:
    platform = with_history(tmp_path)
    panel = platform.signals.panel(SignalQuery(version="v1"), most_rows=MOST)
    assert panel is not None
    assert (panel.history_version, panel.history_has_folds) == ("v1", False)
    assert set(panel.rows["source"]) == {"holdout"}
    with pytest.raises(ModelNotFound):
        platform.signals.panel(SignalQuery(version="v9"), most_rows=MOST)


def test_as_of_a_moment_the_past_is_told_by_what_served_then(tmp_path: Path) -> None:
    platform = with_history(tmp_path)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    assert set(rows(platform, as_of=NOW)["model_version"]) == {"v1"}
    assert set(rows(platform, as_of=later)["model_version"]) == {"v2"}
    assert rows(platform, as_of=NOW - timedelta(days=900)).is_empty()
    assert rows(platform, as_of=NOW - timedelta(days=900), version="v2").is_empty()


def test_the_past_of_a_version_that_is_pruned_by_now_is_left_out(tmp_path: Path) -> None:
    platform = with_history(tmp_path)
    shutil.rmtree(platform.registry.directory / "v1")
    assert rows(platform, as_of=NOW).is_empty()
    assert not rows(platform).is_empty()


def test_a_platform_without_a_model_has_no_past(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    panel = platform.signals.panel(SignalQuery(), most_rows=MOST)
    assert panel is not None
    assert (panel.history_version, panel.rows.height) == (None, 0)


def test_a_range_is_of_bars_and_a_symbol_of_its_own(tmp_path: Path) -> None:
    platform = with_history(tmp_path)
    day = timedelta(days=1)
    one = rows(platform, since=FIRST + day, until=FIRST + 2 * day)
    assert one["score"].to_list() == [0.6]
    assert rows(platform, symbol="BBB").is_empty()
    assert platform.signals.panel(SignalQuery(), most_rows=1) is None


def signals_of(market: ScoredMarket, **asked: object) -> pl.DataFrame:
    panel = rows(market.market.platform, **asked)
    return panel.filter(source="scheduled")


def test_the_champion_of_each_bar_speaks_and_a_version_for_itself(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        market.worker().work()
        answered = market.now
        market.market.platform.models.activate("v1", actor="t", reason="t", now=market.now)
        market.at(DAY + 1)
        market.worker().work()
        bars = signals_of(market)
        assert bars["model_version"].to_list() == ["v2"] * len(SYMBOLS) + ["v1"] * len(SYMBOLS)
        assert bars["symbol"].to_list() == [*SYMBOLS, *SYMBOLS]
        for version in ("v1", "v2"):  # each was once the champion, and once the one before it
            assert signals_of(market, version=version).height == 2 * len(SYMBOLS)
        assert signals_of(market, as_of=answered).height == len(SYMBOLS)
        assert signals_of(market, symbol="AAA", since=answered).is_empty()
        assert signals_of(market, until=answered).height == 2 * len(SYMBOLS)


def test_what_was_said_at_a_bar_comes_before_what_is_said_of_it_later(tmp_path: Path) -> None:
    with scored_market(tmp_path) as market:
        market.at(DAY)
        market.worker().work()
        platform = market.market.platform
        (bar,) = set(signals_of(market)["bar_timestamp"])
        later = pl.DataFrame(
            {"symbol": ["AAA", "ZZZ"], "timestamp": [bar, bar], "fold": [1, 1], "score": [0.0, 0.0]}
        ).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
        beside = {"out_of_fold.parquet": table_files.to_parquet(later)}
        publish(platform.registry.directory, seed=3, run_id="r9", beside=beside)
        platform.models.activate("v3", actor="t", reason="t", now=market.now)
        of_bar = rows(platform).filter(bar_timestamp=bar)
        sources = dict(of_bar.select("symbol", "source").iter_rows())
        assert (sources["AAA"], sources["ZZZ"]) == ("scheduled", "out_of_fold")
        assert of_bar.height == len(SYMBOLS) + 1


def test_a_panel_is_read_back_from_each_format(tmp_path: Path) -> None:
    platform = with_history(tmp_path)
    panel = rows(platform).with_columns(reasons=pl.lit(["a", "b"]))
    assert pl.read_parquet(to_format(panel, "parquet")).equals(panel)
    assert pl.read_ipc(to_format(panel, "arrow")).equals(panel)
    csv = pl.read_csv(to_format(panel, "csv"), try_parse_dates=True)
    assert csv["score"].to_list() == panel["score"].to_list()
    assert csv["bar_timestamp"].to_list() == panel["bar_timestamp"].to_list()
    assert set(csv["reasons"]) == {"a b"}


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = with_history(tmp_path)
    count = platform.signals.write(SignalQuery(), tmp_path / "panel.parquet", "parquet")
    assert pl.read_parquet(tmp_path / "panel.parquet").height == count
    with pytest.raises(CannotWrite):
        platform.signals.write(SignalQuery(), tmp_path / "none" / "panel.csv", "csv")
    monkeypatch.setattr(panels, "MOST_WRITTEN_ROWS", 1)
    with pytest.raises(CannotWrite, match="shorter range"):
        platform.signals.write(SignalQuery(), tmp_path / "long.csv", "csv")
