"""What drift says of the active version of a line, as gauges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.monitoring.drift.check import DriftStatus
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.monitoring.event import FROZEN_FEATURE
from mlengine.core.telemetry.families import (
    DRIFT_ALARMS,
    DRIFT_E_VALUE,
    DRIFT_LEVEL,
    DRIFT_STATUS,
    FROZEN_FEATURES,
    Sample,
    Samples,
)
from mlengine.services.monitoring.drift import DriftService

_WINDOW = DriftWindow(bars=500)


def drift_gauges(drift: DriftService, now: datetime, line: str = MODEL_LINE) -> Sequence[Samples]:
    """By the newest 500 bars of a line; raises as `DriftService.drift`."""
    found = drift.drift(window=_WINDOW, version=None, now=now)
    statuses = [Sample((each, line), float(each == found.status)) for each in get_args(DriftStatus)]
    alarm, version = found.alarm, version_key(line, found.model_version)
    alarms = {"distribution": alarm.alarms, FROZEN_FEATURE: alarm.frozen_alarms}
    return (
        Samples(DRIFT_STATUS, statuses),
        Samples(DRIFT_E_VALUE, [Sample((line,), alarm.e_value)]),
        Samples(DRIFT_LEVEL, [Sample((line,), alarm.threshold)]),
        Samples(
            DRIFT_ALARMS,
            [Sample((version, cause, line), float(count)) for cause, count in alarms.items()],
        ),
        Samples(FROZEN_FEATURES, [Sample((line,), float(len(alarm.frozen_features)))]),
    )
