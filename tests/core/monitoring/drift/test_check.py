"""The one status: false alarms by the level, breaks found, and no exception whatever comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import NAMES, PanelRows, column_set, panel, replaced

from mlengine.core.features import ALPHA158, CORE
from mlengine.core.monitoring.drift.check import DriftReference, build_reference, check_drift

W = 20


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return build_reference(NAMES, panel(1200), window_dates=W, gap_dates=10)


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
    assert (first.feature, first.measure, first.passed) == ("slow", "distribution", True)
    assert first.ks > first.ks_threshold


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_one_feature_that_freezes_or_ends_is_drift(reference: DriftReference, value: float) -> None:
    found = check_drift(reference, column_set(panel(W, seed=2), "fast", value))
    assert (found.status, found.features[0].feature) == ("drift", "fast")


def test_only_the_newest_dates_are_judged(reference: DriftReference) -> None:
    old, new = panel(30, seed=1, shift=50.0), panel(W, seed=3, first=30)
    both = PanelRows(
        *(np.concatenate(pair) for pair in zip(vars(old).values(), vars(new).values(), strict=True))
    )
    assert check_drift(reference, both).features[-1].ks < 0.5
    assert check_drift(reference, both).dates == W


def test_the_status_follows_the_one_score_and_not_the_map(reference: DriftReference) -> None:
    found = [check_drift(reference, panel(W, seed=seed)) for seed in range(1, 60)]
    assert any(each.status == "ok" and any(f.passed for f in each.features) for each in found)


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
    assert (found.status, found.score, found.features) == ("insufficient_data", None, ())


@pytest.mark.parametrize("name", ODD)
def test_a_reference_that_says_nothing_gives_no_verdict(name: str) -> None:
    for dates in (1, W, 1200):
        nothing = build_reference(NAMES, _rows(ODD[name], dates), window_dates=W, gap_dates=10)
        assert check_drift(nothing, panel(W)).status == "uncalibrated"


def test_a_long_reference_without_values_is_no_reason_to_cry() -> None:
    rows = panel(1000)
    for value in (math.nan, math.inf, 1.0):
        nothing = replaced(rows, np.full(rows.values.shape, value))
        empty = build_reference(NAMES, nothing, window_dates=W, gap_dates=10)
        assert check_drift(empty, panel(W, seed=4)).status in ("drift", "uncalibrated")


@pytest.mark.parametrize("dates", [0, 1, W - 1])
def test_too_few_dates_are_insufficient_data(reference: DriftReference, dates: int) -> None:
    rows = panel(W, seed=1)
    some = rows.dates < dates
    few = PanelRows(rows.values[some], rows.dates[some], rows.symbols[some])
    assert check_drift(reference, few).status == "insufficient_data"


def test_amounts_of_money_are_not_watched() -> None:
    assert CORE.scale_free_names == CORE.names
    assert len(ALPHA158.scale_free_names) == 158 - 34
