from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.core.features.planted import OTHERS
from tests.factories import START, random_bars
from tests.platforms import NOW, ROWS, make_platform, window

from mlengine.bootstrap.platform import Platform
from mlengine.core.bars.bars import bars_hash
from mlengine.core.features import ALPHA158, CORE, compute
from mlengine.errors import InsufficientBars, InvalidRequest, UnknownSymbol


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=0)


def test_a_table_holds_the_newest_rows_bit_for_bit(platform: Platform) -> None:
    table = platform.features.table("AAA", limit=10, as_of=None, feature_set=None, now=NOW)
    trained_on = compute(random_bars("AAA", rows=ROWS), CORE).tail(10).drop("symbol")
    assert table.rows.equals(trained_on)
    assert (table.symbol, table.interval) == ("AAA", "1d")
    assert table.feature_set.hash == CORE.hash
    assert table.bars_hash == bars_hash(window("AAA", 73))


def test_a_table_of_the_other_built_in_set_is_found_by_its_name(platform: Platform) -> None:
    table = platform.features.table("AAA", limit=10, as_of=None, feature_set="alpha158", now=NOW)
    trained_on = compute(random_bars("AAA", rows=ROWS), ALPHA158).tail(10).drop("symbol")
    assert table.rows.equals(trained_on)
    assert (table.feature_set.hash, table.feature_set.window_bars) == (ALPHA158.hash, 61)


def test_a_table_as_of_then_is_the_table_of_then(platform: Platform) -> None:
    then = START + timedelta(days=100)
    table = platform.features.table("AAA", limit=5, as_of=then, feature_set="core", now=NOW)
    known = random_bars("AAA", rows=ROWS).head(100)
    assert table.rows.equals(compute(known, CORE).tail(5).drop("symbol"))


def test_fewer_rows_than_asked_for_when_history_is_short(platform: Platform) -> None:
    then = START + timedelta(days=70)
    table = platform.features.table("AAA", limit=100, as_of=then, feature_set=None, now=NOW)
    assert table.rows.height == 7


def test_before_the_first_full_window_there_is_no_row(platform: Platform) -> None:
    then = START + timedelta(days=63)
    with pytest.raises(InsufficientBars) as refused:
        platform.features.table("AAA", limit=1, as_of=then, feature_set=None, now=NOW)
    first = refused.value.first_possible
    assert (refused.value.needed, refused.value.got) == (64, 63)
    assert first == START + timedelta(days=64)
    table = platform.features.table("AAA", limit=9, as_of=first, feature_set=None, now=NOW)
    assert table.rows.height == 1


def test_a_symbol_that_never_had_a_window_has_no_first_possible_moment(
    platform: Platform, tmp_path: Path
) -> None:
    random_bars("DDD", rows=63).write_parquet(tmp_path / "bars" / "DDD.parquet")
    with pytest.raises(InsufficientBars) as refused:
        platform.features.table("DDD", limit=1, as_of=None, feature_set=None, now=NOW)
    assert refused.value.first_possible is None


def test_undefined_values_are_counted_by_feature(platform: Platform, tmp_path: Path) -> None:
    bars = random_bars("DDD", rows=70)
    flat = bars.with_columns(high=pl.col("close"), low=pl.col("close"), open=pl.col("close"))
    flat.write_parquet(tmp_path / "bars" / "DDD.parquet")
    table = platform.features.table("DDD", limit=9, as_of=None, feature_set=None, now=NOW)
    assert table.rows.height == 7
    assert table.nulls["close_in_range"] == 7
    assert "return_1" not in table.nulls
    other = platform.features.table("AAA", limit=9, as_of=None, feature_set=None, now=NOW)
    assert other.nulls == {}


def test_a_set_is_checked_on_the_bars_of_the_upstream(platform: Platform) -> None:
    report = platform.features.check(None, symbols=["AAA", "BBB"], bars=100, now=NOW)
    assert report.ok
    assert (report.feature_set, report.symbols, report.rows) == ("core", ("AAA", "BBB"), 200)
    with pytest.raises(InsufficientBars):
        platform.features.check(None, symbols=["AAA"], bars=64, now=NOW)
    with pytest.raises(InvalidRequest, match="known are alpha158, core"):
        platform.features.check("other", symbols=["AAA"], bars=100, now=NOW)
    with pytest.raises(UnknownSymbol):
        platform.features.check(None, symbols=["AAA", "NONE"], bars=100, now=NOW)


def test_what_is_unknown_is_refused(platform: Platform) -> None:
    with pytest.raises(UnknownSymbol):
        platform.features.table("NONE", limit=1, as_of=None, feature_set=None, now=NOW)
    with pytest.raises(InvalidRequest, match="known are alpha158, core"):
        platform.features.table("AAA", limit=1, as_of=None, feature_set="other", now=NOW)


def test_a_set_that_panics_is_an_ordinary_error(platform: Platform) -> None:
    _, panicking = OTHERS["a kernel that is given nulls"]
    service = dataclasses.replace(platform.features, feature_sets={"planted": panicking})
    with pytest.raises(RuntimeError, match="'planted' panics"):
        service.table("AAA", limit=1, as_of=None, feature_set="planted", now=NOW)
