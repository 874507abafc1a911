"""One simulated model a trial: ten years of training, then years that don't change, or do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from benchmarks.market_streams import (
    FEATURES,
    Flags,
    Stream,
    doubled,
    draw,
    frozen,
    unrelated,
)

from mlengine.core.arrays import Floats, Ints
from mlengine.core.features import CORE
from mlengine.core.monitoring.drift.calibration import DriftCalibration, calibrate_all, scores_of
from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.frozen import longest_runs, repeated_runs, told_from
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.tallies import DateTallies, PanelRows, tally
from mlengine.core.monitoring.drift.window_measures import (
    ks_on_grid,
    psi_on_grid,
    window_measures,
)
from mlengine.core.monitoring.sequential import (
    BLOCK_DATES,
    DriftAlarmState,
    add_block,
    alert_level,
)

WARM_UP = CORE.window_bars - 1
TRAINING, LIVE, AFTER = 2520, 252, 121
# The windows that 100 and 500 bars of twelve symbols are, in dates.
WINDOWS = {100: 9, 500: 42}


@dataclass(frozen=True)
class Trained:
    """A reference of `TRAINING` dates, and how windows of live dates compare with it."""

    grid: FeatureGrid
    training: DateTallies
    total: DateTallies

    def calibrated(self, window_dates: int) -> DriftCalibration:
        return next(each for each in self._calibrations if each.window_dates == window_dates)

    @cached_property
    def _calibrations(self) -> tuple[DriftCalibration, ...]:
        windows = (*WINDOWS.values(), BLOCK_DATES)
        return calibrate_all(self.training, windows, gap_dates=CORE.window_bars)

    def since(self, live: DateTallies, first: int) -> DateTallies:
        """The same dates without the `first` ones."""
        at = np.arange(first, len(live.dates))
        return live.sums(at, at + 1)

    def measures(self, live: DateTallies, ends: Ints, window_dates: int) -> Floats:
        return window_measures(live.sums(ends - window_dates, ends), self.total)

    def scores(self, live: DateTallies, ends: Ints, calibration: DriftCalibration) -> Floats:
        found = self.measures(live, ends, calibration.window_dates)
        return scores_of(found, calibration.means, calibration.scales)

    def passed(
        self, live: DateTallies, ends: Ints, calibration: DriftCalibration
    ) -> tuple[Flags, Flags]:
        """(ends, features) whether PSI and KS pass the thresholds of single features."""
        windows = live.sums(ends - calibration.window_dates, ends)
        psi, ks = psi_on_grid(windows, self.total), ks_on_grid(windows, self.total)
        return psi > calibration.psi_thresholds, ks > calibration.ks_thresholds


def trained_on(rows: PanelRows) -> tuple[Trained, DateTallies]:
    """The reference by the first dates, and the tallies of those a window's bars later."""
    days = rows.dates - rows.dates.min()
    training, live = (
        _some(rows, days < TRAINING),
        _some(rows, days >= TRAINING + CORE.window_bars),
    )
    grid = FeatureGrid.of(FEATURES, sort_columns(training.values))
    counted = tally(training, grid)
    return Trained(grid, counted, counted.total()), tally(live, grid)


def stationary(kind: str, seed: int, real: Floats | None) -> tuple[Trained, DateTallies]:
    """Ten years, and `LIVE` more dates of the same stream."""
    dates = WARM_UP + TRAINING + CORE.window_bars + LIVE
    return trained_on(draw(kind, dates, seed=seed, real=real).rows())


def broken(seed: int, kind: str = "garch") -> tuple[Trained, Mapping[str, DateTallies], int]:
    """Ten years, live dates under each break, and the position among them at which it comes."""
    before = 120
    change = WARM_UP + TRAINING + CORE.window_bars + before
    stream = draw(kind, change + AFTER, seed=seed)
    rows = stream.rows()
    reference, _ = trained_on(rows)
    calm = _some(rows, rows.dates >= rows.dates.min() + TRAINING + CORE.window_bars)
    since = int(calm.dates.min()) + before
    live = {
        "none": calm,
        "volatility": _tail(doubled(stream, change), change, calm),
        "correlation": _tail(unrelated(stream, change, seed=seed), change, calm),
        "frozen": frozen(calm, FEATURES[seed % len(FEATURES)], since),
    }
    return reference, {name: tally(each, reference.grid) for name, each in live.items()}, before


def first_alarm(reference: Trained, live: DateTallies, *, first: int = 0) -> float:
    """On which date the sequential alarm rings, from the position `first` on; infinite if never.

    As `sequential.look` does it daily, with a false alarm in ten years. What it heard before
    `first` counts, alarms before do not.
    """
    calibration = reference.calibrated(BLOCK_DATES)
    begins = np.arange(first % BLOCK_DATES, len(live.dates) - BLOCK_DATES + 1, BLOCK_DATES)
    measures = reference.measures(live, begins + BLOCK_DATES, BLOCK_DATES)
    scores = ((measures - calibration.means) / calibration.scales).max(axis=2)
    state = DriftAlarmState()
    for block, begin in zip(scores, begins, strict=True):
        dates, before = (int(begin), int(begin) + BLOCK_DATES), state.alarms
        state = add_block(state, block, calibration.scores, dates=dates, level=alert_level())
        if state.alarms > before and dates[1] > first:
            return float(dates[1] - first)
    return float("inf")


def first_frozen(reference: Trained, live: DateTallies, *, first: int = 0) -> float:
    """On which date from `first` on a feature is told to stand still; infinite if on none."""
    limits = told_from(longest_runs(reference.training))
    told = (repeated_runs(live)[first:] >= limits).any(axis=1)
    return first_found(told.astype(np.float64), 0.0)


@dataclass(frozen=True)
class Look:
    """One look at one window: the verdict, and the map (features,) of PSI and KS."""

    alarm: bool
    uncalibrated: bool
    psi: Flags
    ks: Flags


def one_look(reference: Trained, live: DateTallies, window_dates: int) -> Look:
    """At the first `window_dates` dates of `live`."""
    calibration, end = reference.calibrated(window_dates), np.array([window_dates])
    uncalibrated = calibration.reason is not None
    passed = bool(reference.scores(live, end, calibration)[0] > calibration.threshold)
    psi, ks = reference.passed(live, end, calibration)
    return Look(passed and not uncalibrated, uncalibrated, psi[0], ks[0])


def first_found(scores: Floats, threshold: float) -> float:
    """How many dates after the break it was found, infinite if never."""
    found = np.flatnonzero(scores > threshold)
    return float(found[0] + 1) if len(found) else float("inf")


def _tail(stream: Stream, change: int, calm: PanelRows) -> PanelRows:
    """The live rows of a stream that differs from `calm` from `change` on."""
    start = change - 120 - WARM_UP
    rows = Stream(stream.ratios[start:]).rows()
    return PanelRows(rows.values, rows.dates - rows.dates.min() + calm.dates.min(), rows.symbols)


def _some(rows: PanelRows, which: Flags) -> PanelRows:
    return PanelRows(rows.values[which], rows.dates[which], rows.symbols[which])
