"""Whether a window of live rows has drifted: one status, and a map of features to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.calibration import DriftCalibration, calibrate, scores_of
from mlengine.core.monitoring.drift.tallies import DateTallies, PanelRows, grid_edges, tally
from mlengine.core.monitoring.drift.window_measures import (
    MEASURES,
    ks_on_grid,
    psi_on_grid,
    window_measures,
)

DriftStatus: TypeAlias = Literal["ok", "drift", "insufficient_data", "uncalibrated"]
_FEWEST_ROWS = 50


@dataclass(frozen=True)
class DriftReference:
    """What is stored with a version: the grid, one sum of all training dates, and the windows.

    `names` are those of watched features, in the order of the columns. A raw price level is a
    random walk, whose windows differ by nature: pass `scale_free` features only.
    """

    names: tuple[str, ...]
    edges: Floats
    total: DateTallies
    calibration: DriftCalibration


@dataclass(frozen=True)
class WatchedFeature:
    """One feature's figures; `passed` whether one is above its own threshold, and no verdict.

    `score` is its greatest measure on the scale of all, and `measure` which one that is.
    """

    feature: str
    psi: float
    ks: float
    psi_threshold: float
    ks_threshold: float
    passed: bool
    score: float
    measure: str


@dataclass(frozen=True)
class DriftCheck:
    """`status` compares `score` with `threshold` alone; `features` stand with the greatest first.

    `reason` says why there is no verdict, None where there is one. `score` and `features` are
    empty without enough rows.
    """

    status: DriftStatus
    reason: str | None
    score: float | None
    threshold: float | None
    dates: int
    rows: int
    features: tuple[WatchedFeature, ...]


def build_reference(
    names: tuple[str, ...], training: PanelRows, *, window_dates: int, gap_dates: int
) -> DriftReference:
    """Count and calibrate the rows of training; raises nothing, however few and whatever they are.

    `gap_dates` is the feature set's `window_bars`, counted in dates.
    """
    edges = grid_edges(training.values)
    tallies = tally(training, edges)
    total = tallies.sums(np.array([0]), np.array([len(tallies.dates)]))
    calibration = calibrate(tallies, window_dates=window_dates, gap_dates=gap_dates)
    return DriftReference(names, edges, total, calibration)


def check_drift(reference: DriftReference, live: PanelRows) -> DriftCheck:
    """Judge the newest `window_dates` dates of `live`; raises nothing.

    `insufficient_data` without as many dates, without fifty distinct rows that have a finite value,
    or where no feature varies: rows that say nothing are no drift. `uncalibrated` where training
    was too short or too varied for a threshold.
    """
    calibration = reference.calibration
    tallies = tally(live, reference.edges)
    dates, rows = len(tallies.dates), len(live.dates)
    first = np.array([max(dates - calibration.window_dates, 0)])
    if dates < calibration.window_dates or not _says_enough(live, tallies.dates[first[0]]):
        return DriftCheck("insufficient_data", "too_few_rows", None, None, dates, rows, ())
    window = tallies.sums(first, np.array([dates]))
    measures = window_measures(window, reference.total)
    features = _features(reference, window, measures)
    score = float(scores_of(measures, calibration.means, calibration.scales)[0])
    within = calibration.window_dates, int(window.rows[0])
    if calibration.reason:
        return DriftCheck("uncalibrated", calibration.reason, score, None, *within, features)
    status: DriftStatus = "drift" if score > calibration.threshold else "ok"
    return DriftCheck(status, None, score, calibration.threshold, *within, features)


def _says_enough(live: PanelRows, since: int) -> bool:
    values = live.values[live.dates >= since]
    defined = values[np.isfinite(values).any(axis=1)]
    if len(defined) < _FEWEST_ROWS:
        return False
    return len(np.unique(np.nan_to_num(defined), axis=0)) >= _FEWEST_ROWS


def _features(
    reference: DriftReference, window: DateTallies, measures: Floats
) -> tuple[WatchedFeature, ...]:
    calibration = reference.calibration
    psi, ks = (of(window, reference.total)[0] for of in (psi_on_grid, ks_on_grid))
    scores = (measures[0] - calibration.means) / calibration.scales
    passed = (psi > calibration.psi_thresholds) | (ks > calibration.ks_thresholds)
    return tuple(
        WatchedFeature(
            feature=reference.names[at],
            psi=float(psi[at]),
            ks=float(ks[at]),
            psi_threshold=float(calibration.psi_thresholds[at]),
            ks_threshold=float(calibration.ks_thresholds[at]),
            passed=bool(passed[at]),
            score=float(scores[at].max()),
            measure=MEASURES[int(scores[at].argmax())],
        )
        for at in np.argsort(-scores.max(axis=1), kind="stable")
    )
