"""What is stored with a version for its drift: the grid, the sum of training, and the windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Ints
from mlengine.core.monitoring.drift.calibration import (
    TOO_FEW_WINDOWS,
    DriftCalibration,
    calibrate_all,
)
from mlengine.core.monitoring.drift.distances import SortedSample, sort_column
from mlengine.core.monitoring.drift.frozen import longest_runs
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.tallies import DateTallies, Panel, PanelRows, tally
from mlengine.core.monitoring.drift.windows import WINDOW_DATES, calibrated_dates

# Fewer rows a date than this share of training's are other symbols, and no sample of the same.
_LEAST_COVERAGE = 0.5


@dataclass(frozen=True)
class DriftReference:
    """Of watched columns: `total` of training, and what its windows say of each length.

    A raw price level is a random walk, whose windows differ by nature: watch `scale_free` features
    only. `longest_runs` (features,) are those of `frozen`. `rows_a_date` is the median. One that is
    made of a sketch has no calibrations, and counts no dates.
    """

    grid: FeatureGrid
    total: DateTallies
    rows: int
    rows_a_date: float = 0.0
    calibrations: tuple[DriftCalibration, ...] = ()
    longest_runs: Ints | None = None

    def calibration(self, window_dates: int | None) -> DriftCalibration | None:
        """That of windows of so many dates, None where there is none."""
        of_length = (each for each in self.calibrations if each.window_dates == window_dates)
        return next(of_length, None)

    def judged_dates(self, dates: int) -> int:
        """How many of so many dates are judged: as many as a calibrated window has.

        Where training is too short for the longest within, the next that it is long enough for, if
        that is half of them. All where there is none, for figures without a verdict.
        """
        longest = calibrated_dates(dates)
        if longest is None or not self.calibrations:
            return dates
        calibrated = [
            each.window_dates
            for each in self.calibrations
            if each.reason != TOO_FEW_WINDOWS and dates / 2 <= each.window_dates <= dates
        ]
        return max(calibrated, default=longest)

    def covers(self, rows: float, dates: int) -> bool:
        """Whether so many rows on so many dates are of as many symbols as training, about."""
        return rows >= _LEAST_COVERAGE * self.rows_a_date * dates


def build_reference(
    names: tuple[str, ...],
    training: Panel,
    *,
    window_bars: int,
    windows: Sequence[int] = WINDOW_DATES,
    grid: FeatureGrid | None = None,
) -> DriftReference:
    """Count and calibrate the rows of training; raises nothing, however few and whatever they are.

    `window_bars` is the feature set's: windows share bars with as many around them. `grid` is that
    of the same rows, where it was made before.
    """
    if grid is None:
        columns = map(training.column, range(training.features))
        grid = FeatureGrid.of(names, map(sort_column, columns))
    tallies = tally(training, grid)
    gap_dates = _dates_of_bars(training, window_bars)
    return DriftReference(
        grid=grid,
        total=tallies.total(),
        rows=len(training.dates),
        rows_a_date=float(np.median(tallies.rows)) if len(tallies.dates) else 0.0,
        calibrations=calibrate_all(tallies, windows, gap_dates=gap_dates),
        longest_runs=longest_runs(tallies),
    )


def reference_of_sketch(
    names: tuple[str, ...], samples: Sequence[SortedSample], *, rows: int
) -> DriftReference:
    """From order statistics alone: distances can be measured by it, and nothing is calibrated."""
    grid = FeatureGrid.of(names, samples)
    most = max((sample.rows for sample in samples), default=0)
    values = np.full((most, len(names)), np.nan)
    for index, sample in enumerate(samples):
        values[: len(sample.values), index] = sample.values
    counted = tally(PanelRows(values, np.zeros(most, np.int64), np.arange(most)), grid)
    return DriftReference(grid, counted.total(), rows)


def _dates_of_bars(rows: Panel, bars: int) -> int:
    """How many dates so many bars of one symbol take, at least."""
    pairs = np.unique(np.stack([rows.dates, rows.symbols]), axis=1).shape[1]
    return math.ceil(bars * pairs / len(rows.dates)) if len(rows.dates) else bars
