from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest
from tests.core.features.planted import (
    CARELESS,
    CLEAN,
    CLOSE,
    HONEST,
    LEAKS,
    OTHERS,
    WINDOW,
    a_set,
    feature,
    planted,
)
from tests.core.small_features import SMALL, SMALLER
from tests.factories import START, panel, random_bars

from mlengine.core.features import BUILTIN, FeatureSet
from mlengine.core.features.leaks.check import LeakReport, check_for_leaks

BARS = panel(2, rows=110)
CUTS = 6
ONE_OF_EACH = [(kind, test, leaks[0]) for kind, (test, leaks) in LEAKS.items()]
LEAKING = [
    *ONE_OF_EACH,
    *(
        pytest.param(kind, test, leak, marks=pytest.mark.soak)
        for kind, (test, leaks) in LEAKS.items()
        for leak in leaks[1:]
    ),
]


def failed(report: LeakReport) -> dict[str, set[str]]:
    """By feature the tests that it fails, features without one left out."""
    return {v.feature: {b.test for b in v.breaches} for v in report.features if not v.ok}


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@pytest.mark.parametrize(("kind", "test", "leak"), LEAKING)
def test_every_planted_leak_is_caught_and_nothing_else(kind: str, test: str, leak: FeatureSet):
    report = check_for_leaks(BARS, leak, cuts=CUTS)
    assert set(failed(report)) == {"leak"}, kind
    assert test in failed(report)["leak"], kind
    assert not report.ok


@pytest.mark.parametrize(("kind", "test", "leak"), ONE_OF_EACH)
def test_a_leak_shows_on_one_symbol_too(kind: str, test: str, leak: FeatureSet):
    found = failed(check_for_leaks(random_bars(rows=100), leak, cuts=CUTS))
    assert set(found) == {"leak"}, kind
    assert test in found["leak"], kind


@pytest.mark.parametrize("kind", OTHERS)
def test_what_else_breaks_parity_is_caught(kind: str):
    test, broken = OTHERS[kind]
    found = failed(check_for_leaks(BARS, broken, cuts=CUTS))
    assert set(found) == {"leak"}
    assert test in found["leak"]


@pytest.mark.parametrize(
    "clean", [*CLEAN, SMALL, SMALLER, *BUILTIN.values()], ids=lambda clean: clean.name
)
def test_a_clean_set_raises_no_alarm(clean: FeatureSet):
    bars = panel(2, rows=max(110, 2 * clean.window_bars))
    report = check_for_leaks(bars, clean, cuts=CUTS)
    assert failed(report) == {}
    assert report.ok
    assert report.breaches == ()
    assert [verdict.feature for verdict in report.features] == list(clean.names)
    assert [verdict.advice for verdict in report.features] == [()] * len(clean.names)
    assert (report.symbols, report.rows) == (("S00", "S01"), bars.height)


@pytest.mark.parametrize("careless", CARELESS)
def test_a_value_made_of_nothing_is_told_and_not_refused(careless: FeatureSet):
    report = check_for_leaks(BARS, careless)
    assert report.ok
    honest, told = report.features
    assert honest.advice == ()
    assert [advice.test for advice in told.advice] == ["missing"]


def test_a_breach_names_the_row_and_both_values():
    bars = random_bars(rows=60)
    report = check_for_leaks(bars, planted(CLOSE.shift(-1) * 1.0, 2))
    (first, *_) = report.breaches
    assert (first.feature, first.test, first.symbol) == ("leak", "future", "AAA")
    row = bars.filter(pl.col("timestamp") > first.timestamp)
    assert first.expected == row["close"][0]
    assert first.made is None
    assert str(first).startswith("'leak' fails the test 'future' at AAA 2020-")
    assert str(first).endswith("Z: it changes with bars after its own")


def test_a_leak_in_one_row_alone_is_found_there():
    bars = random_bars(rows=120)
    rare = pl.when(pl.col("timestamp") == day(77)).then(CLOSE.shift(-1)).otherwise(CLOSE)
    rare_by_symbol = rare + 0.0 * CLOSE.shift(1).over("symbol")
    for leak in (planted(rare, 2), planted(rare_by_symbol, 2)):
        breaches = {b.test: b.timestamp for b in check_for_leaks(bars, leak, cuts=2).breaches}
        assert breaches["future"] == day(77)


def test_a_feature_may_read_the_name_of_its_symbol():
    flag = pl.when(pl.col("symbol") == "S01").then(CLOSE).otherwise(2.0 * CLOSE)
    assert check_for_leaks(BARS, a_set("named", HONEST, feature("flag", flag, 1))).ok


def test_a_whole_set_is_told_of_though_one_feature_panics():
    report = check_for_leaks(BARS, OTHERS["a column that isn't there"][1])
    honest, leak = report.features
    assert honest.ok
    (breach,) = leak.breaches
    assert "ColumnNotFoundError" in str(breach)
    assert "\n" not in str(breach)
    assert (breach.symbol, breach.timestamp) == (None, None)


def test_rows_may_come_in_any_order():
    shuffled = BARS.sample(fraction=1.0, shuffle=True, seed=1)
    assert check_for_leaks(shuffled, CLEAN[0]).ok


@pytest.mark.parametrize("symbols", [1, 2])
def test_the_least_history_is_a_bar_more_than_the_window(symbols: int):
    rows = WINDOW + 1
    assert check_for_leaks(panel(symbols, rows=rows), CLEAN[0]).ok
    assert not check_for_leaks(panel(symbols, rows=rows), planted(CLOSE.shift(-1) / CLOSE, 2)).ok
    for bars in (panel(symbols, rows=WINDOW), BARS.clear()):
        with pytest.raises(ValueError, match=f"has the {rows} bars"):
            check_for_leaks(bars, CLEAN[0])


def test_a_short_symbol_beside_a_long_one_is_no_alarm():
    assert check_for_leaks(
        pl.concat([random_bars("AAA", rows=5), random_bars("BBB", rows=90)]), CLEAN[0]
    ).ok


def test_a_window_of_one_bar_can_be_checked():
    body = feature("body", CLOSE / pl.col("open"), 1)
    one = FeatureSet(name="one", version=1, window_bars=1, features=(body,))
    assert check_for_leaks(random_bars(rows=10), one).ok
    assert check_for_leaks(random_bars(rows=2), one).ok


def test_a_set_without_features_passes():
    assert check_for_leaks(BARS, a_set("empty")).ok


def test_a_polars_version_whose_fills_are_not_known_is_named_in_the_report():
    assert check_for_leaks(BARS, SMALLER, cuts=1).notes == ()
    (note,) = check_for_leaks(BARS, SMALLER, cuts=1, polars_version="99.0.1").notes
    assert note.startswith("Polars 99.0.1 may write fills from the future")
