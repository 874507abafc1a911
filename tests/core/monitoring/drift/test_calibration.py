"""Thresholds are ranks of windows of training, and say when they mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import PanelRows, grid_of, panel

from mlengine.core.monitoring.drift.calibration import calibrate, rank_threshold
from mlengine.core.monitoring.drift.tallies import DateTallies, tally


def tallies(rows: PanelRows) -> DateTallies:
    return tally(rows, grid_of(rows))


@pytest.mark.parametrize(("count", "rank"), [(19, 19), (39, 38), (40, 39), (60, 58), (100, 96)])
def test_the_threshold_is_the_value_of_a_rank(count: int, rank: int) -> None:
    values = np.random.default_rng(count).permutation(np.arange(1.0, count + 1.0))
    assert rank_threshold(values, alpha=0.05) == rank


def test_too_few_values_have_no_such_rank() -> None:
    assert rank_threshold(np.arange(18.0), alpha=0.05) == math.inf
    assert rank_threshold(np.empty((0, 3)), alpha=0.05).tolist() == [math.inf] * 3


def test_a_further_value_passes_with_no_more_than_the_chance() -> None:
    draws = np.random.default_rng(1).random((40, 20_000))
    passed = np.random.default_rng(2).random(20_000) > rank_threshold(draws, alpha=0.05)
    assert 0.043 <= passed.mean() <= 0.053
    plain = np.random.default_rng(2).random(20_000) > np.quantile(draws, 0.95, axis=0)
    assert plain.mean() > 0.065


def test_windows_are_counted_and_the_map_has_thresholds() -> None:
    found = calibrate(tallies(panel(1000)), window_dates=20, gap_dates=10)
    assert (found.windows, found.sliding_windows, found.reason) == (50, 99, None)
    assert found.scores.shape == (50,)
    assert found.means.shape == found.scales.shape == (4, 4)
    assert (found.ks_thresholds > 0.0).all()
    assert (found.psi_thresholds > 0.0).all()
    assert np.sum(found.scores > found.threshold) <= 2


def test_few_windows_are_no_calibration() -> None:
    for dates in (0, 1, 19, 20, 39 * 20):
        rows = panel(max(dates, 1))
        some = rows.dates < dates
        short = PanelRows(rows.values[some], rows.dates[some], rows.symbols[some])
        found = calibrate(tallies(short), window_dates=20, gap_dates=10)
        assert found.reason == "too_few_windows"


def test_years_that_differ_from_each_other_are_no_calibration() -> None:
    rows = panel(2520)
    values = rows.values.copy()
    values[rows.dates >= 2268, 1] += 6.0
    odd = PanelRows(values, rows.dates, rows.symbols)
    assert calibrate(tallies(odd), window_dates=21, gap_dates=10).reason == "past_differs"
    assert calibrate(tallies(rows), window_dates=21, gap_dates=10).reason is None
