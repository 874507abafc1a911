"""What drift says of the active version of a line, as gauges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.monitoring.drift.check import DriftStatus
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.telemetry.families import (
    DRIFT_ALARMS,
    DRIFT_E_VALUE,
    DRIFT_LEVEL,
    DRIFT_STATUS,
    Sample,
    Samples,
)
from mlengine.services.monitoring.drift import DriftService

_WINDOW = DriftWindow(bars=500)


def drift_gauges(drift: DriftService, now: datetime) -> Sequence[Samples]:
    """Of `main`, by its newest 500 bars; raises as `DriftService.drift`."""
    found = drift.drift(window=_WINDOW, version=None, now=now)
    statuses = [Sample((each,), float(each == found.status)) for each in get_args(DriftStatus)]
    alarm = found.alarm
    ours = MODEL_LINE, found.model_version
    return (
        Samples(DRIFT_STATUS, statuses),
        *alarm_gauges(*ours, e_value=alarm.e_value, level=alarm.threshold, alarms=alarm.alarms),
    )


def alarm_gauges(
    line: str, version: str, *, e_value: float, level: float, alarms: int
) -> Sequence[Samples]:
    """What the alarm of a version of a line knows."""
    return (
        Samples(DRIFT_E_VALUE, [Sample((line,), e_value)]),
        Samples(DRIFT_LEVEL, [Sample((line,), level)]),
        Samples(DRIFT_ALARMS, [Sample((version_key(line, version), line), float(alarms))]),
    )
