"""How far what a version scored has moved from what it was trained on, from stored counts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from mlengine.core.monitoring.drift.check import DriftStatus, FeatureDrift, check_drift
from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.evidently import evidently_scores
from mlengine.core.monitoring.drift.log_loss import LogLossEstimate, estimate_log_loss
from mlengine.core.monitoring.drift.model_reference import ModelReference
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.monitoring.drift_alarm import DriftAlarms
from mlengine.core.monitoring.sequential import false_alarm_years
from mlengine.core.timestamps import EPOCH
from mlengine.errors import NoActiveModel
from mlengine.services.monitoring.drift_references import DriftReferences, VersionReference
from mlengine.services.monitoring.drift_updates import alarms_of, midnight
from mlengine.stores.audit.live_vectors import LiveVectorReader
from mlengine.stores.monitoring.drift_store import DriftProgress, DriftStore
from mlengine.stores.registry.registry import Registry

_MOST_KEPT = 32
_MOST_ROWS = 20_000


@dataclass(frozen=True)
class DriftAlarmReport:
    """The alarm that may be looked at daily: `e_value` beside the `threshold` that it must pass.

    Without a cause that comes once in `false_alarm_years` of daily looks, on average, or less.
    `since` is the date from which the present evidence counts, `through` the last that counted.
    `alarms` is how often that rang; of the last time, `last_alarm` is the date, `found` has the
    features that lay furthest off. `frozen_features` stand still at present, of which
    `frozen_alarms` counts how often one was told.
    """

    e_value: float
    threshold: float
    since: datetime | None
    through: datetime | None
    alarms: int
    last_alarm: datetime | None
    found: tuple[str, ...]
    frozen_features: tuple[str, ...]
    frozen_alarms: int = 0
    false_alarm_years: float = 10.0


@dataclass(frozen=True)
class EvidentlyFeature:
    """What Evidently 0.7 gives for one feature against the sketch of training.

    Null where either side has no finite value.
    """

    feature: str
    psi: float | None
    ks_p_value: float | None
    wasserstein: float | None
    jensen_shannon: float | None


@dataclass(frozen=True, kw_only=True)
class ModelDrift:
    """Of one version: `status` compares `score` with `threshold`, and nothing else.

    Without a cause a share of looks, `false_alarm_rate`, says `drift`; null without a threshold.
    `reason` says why there is no verdict. The window has `dates` dates, `since` to `through`, with
    `n_current` distinct live bars; `calibration_windows` of as many dates of training gave the
    threshold. `log_loss` is an estimate without outcomes. `updated_at` is when live rows were last
    counted. `evidently` is given in that mode.
    """

    status: DriftStatus
    reason: str | None
    model_version: str
    n_reference: int
    n_current: int
    dates: int
    since: datetime | None
    through: datetime | None
    score: float | None
    threshold: float | None
    calibration_windows: int
    features: tuple[FeatureDrift, ...]
    prediction_drift: FeatureDrift | None
    log_loss: LogLossEstimate | None
    alarm: DriftAlarmReport
    updated_at: datetime | None
    false_alarm_rate: float | None = None
    evidently: tuple[EvidentlyFeature, ...] | None = None


@dataclass(frozen=True)
class DriftService:
    """Answers from counts; the same answer is kept until there are new rows."""

    registry: Registry
    references: DriftReferences
    vectors: LiveVectorReader
    store: DriftStore
    level: float
    _kept: OrderedDict[object, ModelDrift] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def drift(
        self, *, window: DriftWindow, version: str | None, mode: str = "grid", now: datetime
    ) -> ModelDrift:
        """The newest dates of `window` against training; by default of the active version.

        Raises NoActiveModel, ModelNotFound, ArtifactCorrupt, DatabaseUnavailable or DamagedRow.
        """
        version = version or self._active_version()
        reference, progress = self.references.get(version), self.store.progress(version)
        today = (now - EPOCH).days
        counted = (progress.prediction_seq, progress.updated_at) if progress else None
        key = (version, window, mode, today if window.days else None, counted)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            return kept
        found = self._compute(reference, progress, window, today)
        if mode == "evidently":
            found = replace(found, evidently=self._evidently(reference, found))
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return found

    def _active_version(self) -> str:
        active = self.registry.active.read()
        if active is None:
            raise NoActiveModel
        return active.version

    def _compute(
        self,
        version: VersionReference,
        progress: DriftProgress | None,
        window: DriftWindow,
        today: int,
    ) -> ModelDrift:
        reference, live = version.reference, self._live(version, window, today)
        calibration = reference.features.calibration(len(live.dates))
        features, prediction = reference.split(live)
        check = check_drift(reference.features, features, calibration)
        of_score = check_drift(
            reference.prediction,
            prediction,
            reference.prediction.calibration(calibration.window_dates if calibration else None),
        )
        return ModelDrift(
            status=check.status,
            reason=check.reason,
            model_version=version.scored.version,
            n_reference=reference.features.rows,
            n_current=check.rows,
            dates=check.dates,
            since=midnight(int(live.dates[0])) if len(live.dates) else None,
            through=midnight(int(live.dates[-1])) if len(live.dates) else None,
            score=check.score,
            threshold=check.threshold,
            false_alarm_rate=calibration.alpha if calibration and check.threshold else None,
            calibration_windows=calibration.windows if calibration else 0,
            features=(*check.features, *(FeatureDrift(n, None, None) for n in version.unwatched)),
            prediction_drift=replace(of_score.features[0], score=None, measure=None),
            log_loss=_log_loss(reference, prediction),
            alarm=_alarm_report(alarms_of(progress), reference, self.level),
            updated_at=progress.updated_at if progress else None,
        )

    def _live(self, version: VersionReference, window: DriftWindow, today: int) -> DateTallies:
        """The dates that are judged: of the window, as many as there is a calibration for."""
        name, features = version.scored.version, len(version.reference.grid.names)
        by_date = self.store.rows_by_date(name)
        dates = window.dates_of(by_date, today=today)
        dates = version.reference.features.judged_dates(dates)
        since = by_date[dates - 1][0] if dates else today + 1
        return self.store.tallies(name, since=since, features=features)

    def _evidently(
        self, version: VersionReference, found: ModelDrift
    ) -> tuple[EvidentlyFeature, ...]:
        """Of the newest rows of the window, twenty thousand at most."""
        values = [np.empty((0, len(version.reference.grid.names)))]
        for date, _ in self.store.rows_by_date(version.scored.version)[: found.dates]:
            if sum(map(len, values)) >= _MOST_ROWS:
                break
            rows = self.vectors.rows(version.scored, date=date)
            values.append(version.values(rows.vectors, rows.scores))
        current = sort_columns(np.concatenate(values)[:_MOST_ROWS])
        trained = self.references.sketch(version.scored.version)
        return tuple(
            EvidentlyFeature(name, **vars(evidently_scores(trained[name], sample)))
            for name, sample in zip(version.reference.grid.names, current, strict=True)
        )


def _log_loss(reference: ModelReference, live: DateTallies) -> LogLossEstimate | None:
    if reference.losses is None:
        return None
    window, trained = (each.total().bins[0, 0] for each in (live, reference.prediction.total))
    return estimate_log_loss(reference.losses, window=window, trained=trained)


def _alarm_report(alarms: DriftAlarms, reference: ModelReference, level: float) -> DriftAlarmReport:
    state, names = alarms.sequential, reference.features.grid.names
    return DriftAlarmReport(
        e_value=state.e_value,
        threshold=level,
        since=midnight(state.restarted) if state.restarted else None,
        through=midnight(state.through) if state.through else None,
        alarms=state.alarms,
        last_alarm=midnight(state.alarmed) if state.alarms else None,
        found=tuple(names[at] for at in state.found if at < len(names)),
        frozen_features=alarms.frozen,
        frozen_alarms=alarms.frozen_alarms,
        false_alarm_years=false_alarm_years(level),
    )
