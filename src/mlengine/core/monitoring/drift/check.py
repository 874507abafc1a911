"""Whether a window of live rows has drifted: one status, and a map of features to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from mlengine.core.arrays import Floats, finite_or_none
from mlengine.core.monitoring.drift.calibration import DriftCalibration, scores_of
from mlengine.core.monitoring.drift.reference import DriftReference
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.core.monitoring.drift.window_measures import (
    MEASURES,
    ks_on_grid,
    psi_on_grid,
    window_measures,
)
from mlengine.core.monitoring.drift.windows import WINDOW_DATES

DriftStatus: TypeAlias = Literal["ok", "drift", "insufficient_data", "uncalibrated"]
FEWEST_ROWS = 50


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's figures; null where they mean nothing.

    `threshold` is that of `psi`, and `drifted` whether either statistic is above its own: a map to
    look at, and no verdict. `score` is the greatest measure on the scale of all features, `measure`
    which one that is: `distribution`, `nulls`, `repeats` or `spread`. Shares are of the rows of the
    window: undefined ones, and ones beyond the least and greatest value of training.
    """

    feature: str
    psi: float | None
    ks: float | None
    threshold: float | None = None
    drifted: bool | None = None
    ks_threshold: float | None = None
    null_share: float | None = None
    out_of_range_share: float | None = None
    score: float | None = None
    measure: str | None = None


@dataclass(frozen=True)
class DriftCheck:
    """`status` compares `score` with `threshold` alone; `features` stand with the greatest first.

    `reason` says why there is no verdict, None where there is one.
    """

    status: DriftStatus
    reason: str | None
    score: float | None
    threshold: float | None
    dates: int
    rows: int
    features: tuple[FeatureDrift, ...]


def check_drift(
    reference: DriftReference, live: DateTallies, calibration: DriftCalibration | None
) -> DriftCheck:
    """Judge the dates of `live` as one window; raises nothing, whatever they are.

    `insufficient_data` without fifty rows that differ: rows that say nothing are no drift.
    `uncalibrated` where there is no `calibration` for as many dates, training was too short or too
    varied for a threshold, or there are less than half as many rows a date as in training.
    """
    dates, window = len(live.dates), live.total()
    rows = int(window.rows[0])
    if window.distinct[0] < FEWEST_ROWS:
        nothing = tuple(FeatureDrift(name, None, None) for name in reference.grid.names)
        return DriftCheck("insufficient_data", "too_few_rows", None, None, dates, rows, nothing)
    reason = _reason(reference, calibration, dates, rows)
    if calibration is None:
        features = tuple(_figures(reference, window))
        return DriftCheck("uncalibrated", reason, None, None, dates, rows, features)
    measures = window_measures(window, reference.total)
    score = float(scores_of(measures, calibration.means, calibration.scales)[0])
    features = _scored_figures(reference, window, measures, calibration, mapped=reason is None)
    if reason:
        return DriftCheck("uncalibrated", reason, score, None, dates, rows, features)
    status: DriftStatus = "drift" if score > calibration.threshold else "ok"
    return DriftCheck(status, None, score, calibration.threshold, dates, rows, features)


def _reason(
    reference: DriftReference, calibration: DriftCalibration | None, dates: int, rows: int
) -> str | None:
    if not reference.calibrations:
        return "no_calibration"
    if calibration is None:
        return "window_too_short" if dates < WINDOW_DATES[0] else "window_too_long"
    return calibration.reason or (None if reference.covers(rows, dates) else "few_symbols")


def _figures(reference: DriftReference, window: DateTallies) -> list[FeatureDrift]:
    total, rows = reference.total, window.rows[0]
    psi, ks = psi_on_grid(window, total)[0], ks_on_grid(window, total)[0]
    defined, trained = window.bins[0].sum(axis=1), total.bins[0].sum(axis=1)
    ks[(defined == 0.0) | (trained == 0.0)] = math.nan
    return [
        FeatureDrift(
            name,
            float(psi[at]),
            finite_or_none(float(ks[at])),
            null_share=float(1.0 - defined[at] / rows),
            out_of_range_share=float(window.outside[0, at] / rows),
        )
        for at, name in enumerate(reference.grid.names)
    ]


def _scored_figures(
    reference: DriftReference,
    window: DateTallies,
    measures: Floats,
    calibration: DriftCalibration,
    *,
    mapped: bool,
) -> tuple[FeatureDrift, ...]:
    """With scores, the greatest first; with thresholds where they are to be trusted."""
    scores = (measures[0] - calibration.means) / calibration.scales
    figures = _figures(reference, window)
    return tuple(
        replace(
            _mapped(figures[at], calibration, at) if mapped else figures[at],
            score=float(scores[at].max()),
            measure=MEASURES[int(scores[at].argmax())],
        )
        for at in np.argsort(-scores.max(axis=1), kind="stable")
    )


def _mapped(figure: FeatureDrift, calibration: DriftCalibration, at: int) -> FeatureDrift:
    psi, ks = (float(of[at]) for of in (calibration.psi_thresholds, calibration.ks_thresholds))
    passed = (figure.psi or 0.0) > psi or (figure.ks or 0.0) > ks
    return replace(figure, threshold=psi, ks_threshold=ks, drifted=passed)
