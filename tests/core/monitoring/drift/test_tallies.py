"""Sums of dates are the counts of their rows."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import SYMBOLS, column_set, grid_of, panel

from mlengine.core.monitoring.drift.grid import GRID_BINS
from mlengine.core.monitoring.drift.tallies import PanelRows, tally
from mlengine.core.monitoring.drift.window_measures import (
    MEASURES,
    ks_on_grid,
    psi_on_grid,
    window_measures,
)


def test_bins_of_the_reference_hold_equal_masses() -> None:
    rows = panel(100)
    counts = tally(rows, grid_of(rows)).bins.sum(axis=0)
    assert counts[1] == pytest.approx(np.full(GRID_BINS, 20.0), abs=1.0)
    assert (counts[2] > 0.0).sum() == 4
    assert counts[3].sum() == np.isfinite(rows.values[:, 3]).sum()


def test_windows_are_sums_of_their_dates() -> None:
    rows = panel(60)
    grid = grid_of(rows)
    some = (rows.dates >= 10) & (rows.dates < 25)
    alone = tally(PanelRows(*(each[some] for each in vars(rows).values())), grid)
    window = tally(rows, grid).sums(np.array([10, 0]), np.array([25, 60]))
    assert window.bins[0] == pytest.approx(alone.bins.sum(axis=0))
    assert window.spreads[0] == pytest.approx(alone.spreads.sum(axis=0), abs=1e-12)
    assert window.rows.tolist() == [15 * SYMBOLS, 60 * SYMBOLS]


def test_the_order_of_rows_and_the_names_of_symbols_change_nothing() -> None:
    rows = panel(30)
    grid, order = grid_of(rows), np.random.default_rng(1).permutation(len(rows.dates))
    mixed = PanelRows(rows.values[order], rows.dates[order], 100 - rows.symbols[order])
    for ours, theirs in zip(
        vars(tally(rows, grid)).values(), vars(tally(mixed, grid)).values(), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_running_sums_are_those_of_their_dates() -> None:
    counted = tally(panel(60), grid_of(panel(60)))
    first, last = np.array([10, 0, 7]), np.array([25, 60, 7])
    running = counted.running().sums(first, last)
    for ours, theirs in zip(
        vars(running).values(), vars(counted.sums(first, last)).values(), strict=True
    ):
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_values_beyond_those_of_training_are_outside() -> None:
    rows = panel(30)
    grid = grid_of(rows)
    assert tally(rows, grid).outside.sum() == 0.0
    beyond = tally(column_set(rows, "fast", 99.0), grid)
    assert beyond.outside.sum(axis=0).tolist() == [0.0, 30.0 * SYMBOLS, 0.0, 0.0]


def test_rows_that_say_the_same_again_are_not_distinct() -> None:
    rows = panel(30)
    assert tally(rows, grid_of(rows)).distinct.tolist() == [float(SYMBOLS)] * 30
    alike = PanelRows(np.ones_like(rows.values), rows.dates, rows.symbols)
    assert tally(alike, grid_of(rows)).distinct.sum() == 1.0
    nothing = PanelRows(np.full_like(rows.values, np.nan), rows.dates, rows.symbols)
    assert tally(nothing, grid_of(rows)).distinct.sum() == 0.0


def test_a_value_that_stays_is_a_repeat() -> None:
    rows = panel(20)
    stuck = column_set(rows, "fast", 0.5)
    counted = tally(stuck, grid_of(rows)).repeats
    assert counted[:, 1].tolist() == [0.0] + [float(SYMBOLS)] * 19
    assert counted[:, 0].sum() == 0.0


def test_spread_is_the_variance_across_symbols() -> None:
    rows = panel(4_000)
    found = tally(rows, grid_of(rows))
    assert found.spreads[:, 1].mean() == pytest.approx(1 / 12, rel=0.05)
    together = rows.values.copy()
    together[:, 1] = np.repeat(together[::SYMBOLS, 1], SYMBOLS)
    same = tally(PanelRows(together, rows.dates, rows.symbols), grid_of(rows))
    assert same.spreads[:, 1].max() == pytest.approx(0.0, abs=1e-12)


def test_one_symbol_has_no_spread() -> None:
    rows = panel(10)
    alone = rows.symbols == 0
    one = PanelRows(rows.values[alone], rows.dates[alone], rows.symbols[alone])
    assert tally(one, grid_of(rows)).spread_dates.sum() == 0.0


def test_each_measure_sees_what_it_is_for() -> None:
    rows = panel(400)
    grid = grid_of(rows)
    whole = tally(rows, grid).total()

    def of(changed: PanelRows, feature: int) -> dict[str, float]:
        window = tally(changed, grid).total()
        values = window_measures(window, whole)[0, feature]
        return dict(zip(MEASURES, values.tolist(), strict=True))

    live = panel(40, seed=5)
    assert max(of(live, 1).values()) < 0.15
    assert of(panel(40, seed=5, shift=5.0), 0)["distribution"] > 0.5
    assert of(column_set(live, "gaps", np.nan), 3)["nulls"] == pytest.approx(0.9, abs=0.02)
    assert of(column_set(live, "fast", 0.0), 1)["repeats"] > 0.9


def test_statistics_of_the_same_rows_are_zero() -> None:
    rows = panel(50)
    whole = tally(rows, grid_of(rows)).total()
    for statistic in (ks_on_grid, psi_on_grid, window_measures):
        assert np.abs(statistic(whole, whole)).max() == pytest.approx(0.0, abs=1e-12)
