"""The settings of monitoring."""

from dataclasses import dataclass
from typing import cast

from mlengine.config.env_reader import EnvReader
from mlengine.core.runs.retraining import TRIGGERS, RetrainReason
from mlengine.errors import BadSetting


@dataclass(frozen=True)
class MonitoringSettings:
    """`every_seconds` is 0 where the worker updates nothing by itself.

    `alert_years` pass between two false alarms, on average, at daily looks.
    """

    every_seconds: int
    alert_years: float
    hooks_allow_private: bool
    retrain_on: tuple[RetrainReason, ...]
    retrain_cooldown_days: int


def monitoring(read: EnvReader) -> MonitoringSettings:
    """What the variables MONITOR_… and ALERT_LEVEL say; raises BadSetting."""
    return MonitoringSettings(
        every_seconds=read.integer("MONITOR_EVERY_SECONDS", 60, 0, 86_400),
        alert_years=read.number("ALERT_LEVEL", 10.0, 1.0, 1000.0),
        hooks_allow_private=read.boolean("HOOKS_ALLOW_PRIVATE", default=False),
        retrain_on=_retrain_on(read),
        retrain_cooldown_days=read.integer("RETRAIN_COOLDOWN_DAYS", 7, 0, 3650),
    )


def _retrain_on(read: EnvReader) -> tuple[RetrainReason, ...]:
    words = read.comma_list("RETRAIN_ON")
    if not all(word in TRIGGERS for word in words):
        raise BadSetting("RETRAIN_ON", ",".join(words), f"by comma, some of {', '.join(TRIGGERS)}")
    return cast("tuple[RetrainReason, ...]", tuple(dict.fromkeys(words)))
