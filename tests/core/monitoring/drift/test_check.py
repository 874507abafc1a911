"""The one status: false alarms by the level, breaks found, and no exception whatever comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import NAMES, PanelRows, column_set, panel, replaced

from mlengine.core.features import ALPHA158, CORE
from mlengine.core.monitoring.drift.check import DriftCheck
from mlengine.core.monitoring.drift.check import check_drift as judge
from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.reference import (
    DriftReference,
    build_reference,
    reference_of_sketch,
)
from mlengine.core.monitoring.drift.tallies import tally

W = 20


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return build_reference(NAMES, panel(1200), window_bars=10)


def check_drift(reference: DriftReference, live: PanelRows, dates: int = W) -> DriftCheck:
    """The newest dates of these rows."""
    tallies = tally(live, reference.grid)
    return judge(reference, tallies.at(slice(-dates, None)), reference.calibration(dates))


def test_more_rows_like_those_of_training_are_ok_in_nearly_all_cases(
    reference: DriftReference,
) -> None:
    found = [check_drift(reference, panel(W, seed=seed)).status for seed in range(1, 201)]
    assert set(found) <= {"ok", "drift"}
    assert found.count("drift") <= 20


def test_a_shift_is_drift_and_names_its_feature_first(reference: DriftReference) -> None:
    found = check_drift(reference, panel(W, seed=9, shift=4.0))
    assert found.status == "drift"
    assert found.score > found.threshold
    first = found.features[0]
    assert (first.feature, first.measure, first.drifted) == ("slow", "distribution", True)
    assert first.ks > first.ks_threshold
    assert (first.null_share, first.out_of_range_share) == (0.0, 0.0)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_one_feature_that_freezes_or_ends_is_drift(reference: DriftReference, value: float) -> None:
    found = check_drift(reference, column_set(panel(W, seed=2), "fast", value))
    assert (found.status, found.features[0].feature) == ("drift", "fast")
    assert found.features[0].null_share == (0.0 if value == 0.0 else 1.0)
    assert check_drift(reference, panel(W, shift=99.0)).features[0].out_of_range_share == 1.0


def test_only_the_newest_dates_are_judged(reference: DriftReference) -> None:
    old, new = panel(30, seed=1, shift=50.0), panel(W, seed=3, first=30)
    both = PanelRows(
        *(np.concatenate(pair) for pair in zip(vars(old).values(), vars(new).values(), strict=True))
    )
    assert check_drift(reference, both).features[-1].ks < 0.5
    assert check_drift(reference, both).dates == W


def test_the_status_follows_the_one_score_and_not_the_map(reference: DriftReference) -> None:
    found = [check_drift(reference, panel(W, seed=seed)) for seed in range(1, 60)]
    assert any(each.status == "ok" and any(f.drifted for f in each.features) for each in found)


def _rows(values: np.ndarray, dates: int) -> PanelRows:
    count = len(values)
    when = np.repeat(np.arange(dates), -(-count // max(dates, 1)))[:count]
    return PanelRows(values, when, np.arange(count))


ODD = {
    "none": np.empty((0, 4)),
    "one": np.zeros((1, 4)),
    "constant": np.ones((400, 4)),
    "null": np.full((400, 4), math.nan),
    "infinite": np.full((400, 4), math.inf),
    "minus infinite": np.full((400, 4), -math.inf),
    "few that differ": np.tile(np.arange(4.0), (400, 1)) * (np.arange(400) % 9)[:, None],
}


@pytest.mark.parametrize("name", ODD)
def test_rows_that_say_nothing_are_never_drift(reference: DriftReference, name: str) -> None:
    found = check_drift(reference, _rows(ODD[name], W))
    assert (found.status, found.score) == ("insufficient_data", None)
    assert [each.feature for each in found.features] == list(NAMES)
    assert {(each.psi, each.ks, each.drifted) for each in found.features} == {(None, None, None)}


@pytest.mark.parametrize("name", ODD)
def test_a_reference_that_says_nothing_gives_no_verdict(name: str) -> None:
    for dates in (1, W, 1200):
        nothing = build_reference(NAMES, _rows(ODD[name], dates), window_bars=10, windows=(W,))
        assert check_drift(nothing, panel(W)).status != "drift"


def test_a_long_reference_without_values_is_no_reason_to_cry() -> None:
    rows = panel(1000)
    for value in (math.nan, math.inf, 1.0):
        nothing = replaced(rows, np.full(rows.values.shape, value))
        empty = build_reference(NAMES, nothing, window_bars=10, windows=(W,))
        assert check_drift(empty, panel(W, seed=4)).status in ("drift", "uncalibrated")


@pytest.mark.parametrize("dates", [0, 1, 4])
def test_too_few_rows_or_dates_have_no_verdict(reference: DriftReference, dates: int) -> None:
    found = check_drift(reference, panel(dates or 1, seed=1), dates)
    assert found.status == "insufficient_data"


@pytest.mark.parametrize(
    ("dates", "reason"), [(7, None), (8, "window_too_long"), (120, "too_few_windows")]
)
def test_a_window_is_judged_by_windows_of_its_length(
    reference: DriftReference, dates: int, reason: str | None
) -> None:
    found = check_drift(reference, panel(dates, seed=1), dates)
    assert found.reason == reason
    assert (found.status == "uncalibrated") == (reason is not None)
    assert all((each.drifted is None) == (reason is not None) for each in found.features)


@pytest.mark.parametrize(
    ("dates", "judged"),
    [(0, 0), (4, 4), (5, 5), (24, 20), (41, 25), (50, 25), (60, 55), (125, 120), (161, 161)],
)
def test_of_a_window_so_many_dates_are_judged_as_one_of_training_has(
    reference: DriftReference, dates: int, judged: int
) -> None:
    assert reference.judged_dates(dates) == judged


def test_fewer_symbols_than_half_are_another_population(reference: DriftReference) -> None:
    rows = panel(W, seed=1)
    few = rows.symbols < 3
    found = check_drift(reference, PanelRows(rows.values[few], rows.dates[few], rows.symbols[few]))
    assert (found.status, found.reason) == ("uncalibrated", "few_symbols")


def test_a_sketch_gives_figures_and_no_verdict() -> None:
    rows = panel(1200)
    sketched = reference_of_sketch(NAMES, sort_columns(rows.values), rows=len(rows.dates))
    whole = build_reference(NAMES, rows, window_bars=10, windows=(W,))
    found = check_drift(sketched, panel(W, seed=5, shift=2.0))
    assert (found.status, found.reason, found.score) == ("uncalibrated", "no_calibration", None)
    figures = {each.feature: (each.psi, each.ks) for each in found.features}
    for each in check_drift(whole, panel(W, seed=5, shift=2.0)).features:
        assert figures[each.feature] == pytest.approx((each.psi, each.ks), abs=1e-9)


def test_amounts_of_money_are_not_watched() -> None:
    assert CORE.scale_free_names == CORE.names
    assert len(ALPHA158.scale_free_names) == 158 - 34
