from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.factories import START, random_bars
from tests.platforms import NOW, ROWS, make_engine, window

from mlengine.bootstrap import Engine
from mlengine.core.bars import bars_hash
from mlengine.core.features import ALPHA158, CORE, compute
from mlengine.errors import InsufficientBars, InvalidRequest, UnknownSymbol


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return make_engine(tmp_path, models=0)


def test_a_table_holds_the_newest_rows_bit_for_bit(engine: Engine) -> None:
    table = engine.features.table("AAA", limit=10, as_of=None, feature_set=None, now=NOW)
    trained_on = compute(random_bars("AAA", rows=ROWS), CORE).tail(10).drop("symbol")
    assert table.rows.equals(trained_on)
    assert (table.symbol, table.interval) == ("AAA", "1d")
    assert table.feature_set.hash == CORE.hash
    assert table.bars_hash == bars_hash(window("AAA", 73))


def test_a_table_of_the_other_built_in_set_is_found_by_its_name(engine: Engine) -> None:
    table = engine.features.table("AAA", limit=10, as_of=None, feature_set="alpha158", now=NOW)
    trained_on = compute(random_bars("AAA", rows=ROWS), ALPHA158).tail(10).drop("symbol")
    assert table.rows.equals(trained_on)
    assert (table.feature_set.hash, table.feature_set.window_bars) == (ALPHA158.hash, 61)


def test_a_table_as_of_then_is_the_table_of_then(engine: Engine) -> None:
    then = START + timedelta(days=100)
    table = engine.features.table("AAA", limit=5, as_of=then, feature_set="core", now=NOW)
    known = random_bars("AAA", rows=ROWS).head(100)
    assert table.rows.equals(compute(known, CORE).tail(5).drop("symbol"))


def test_fewer_rows_than_asked_for_when_history_is_short(engine: Engine) -> None:
    then = START + timedelta(days=70)
    table = engine.features.table("AAA", limit=100, as_of=then, feature_set=None, now=NOW)
    assert table.rows.height == 7


def test_before_the_first_full_window_there_is_no_row(engine: Engine) -> None:
    then = START + timedelta(days=63)
    with pytest.raises(InsufficientBars):
        engine.features.table("AAA", limit=1, as_of=then, feature_set=None, now=NOW)


def test_what_is_unknown_is_refused(engine: Engine) -> None:
    with pytest.raises(UnknownSymbol):
        engine.features.table("NONE", limit=1, as_of=None, feature_set=None, now=NOW)
    with pytest.raises(InvalidRequest, match="known are alpha158, core"):
        engine.features.table("AAA", limit=1, as_of=None, feature_set="other", now=NOW)
