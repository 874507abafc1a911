"""What drift says of the active version, as gauges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from mlengine.core.monitoring.drift.check import DriftStatus
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.telemetry.families import (
    DRIFT_ALARMS,
    DRIFT_E_VALUE,
    DRIFT_LEVEL,
    DRIFT_STATUS,
    Family,
    Sample,
    Samples,
)
from mlengine.services.monitoring.drift import DriftService

_WINDOW = DriftWindow(bars=500)


def drift_gauges(drift: DriftService, now: datetime) -> Sequence[Samples]:
    """Of the newest 500 bars; raises as `DriftService.drift`."""
    found = drift.drift(window=_WINDOW, version=None, now=now)
    statuses = [Sample((each,), float(each == found.status)) for each in get_args(DriftStatus)]
    version = found.model_version
    return (
        Samples(DRIFT_STATUS, statuses),
        _one(DRIFT_E_VALUE, found.alarm.e_value),
        _one(DRIFT_LEVEL, found.alarm.threshold),
        Samples(DRIFT_ALARMS, [Sample((version,), float(found.alarm.alarms))]),
    )


def _one(family: Family, value: float) -> Samples:
    return Samples(family, [Sample((), value)])
