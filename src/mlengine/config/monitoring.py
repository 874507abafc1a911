"""The settings of monitoring."""

from dataclasses import dataclass

from mlengine.config.env_reader import EnvReader


@dataclass(frozen=True)
class MonitoringSettings:
    """`every_seconds` is 0 where the worker updates nothing by itself.

    `alert_years` pass between two false alarms, on average, at daily looks.
    """

    every_seconds: int
    alert_years: float
    hooks_allow_private: bool


def monitoring(read: EnvReader) -> MonitoringSettings:
    """What the variables MONITOR_… and ALERT_LEVEL say; raises BadSetting."""
    return MonitoringSettings(
        every_seconds=read.integer("MONITOR_EVERY_SECONDS", 60, 0, 86_400),
        alert_years=read.number("ALERT_LEVEL", 10.0, 1.0, 1000.0),
        hooks_allow_private=read.boolean("HOOKS_ALLOW_PRIVATE", default=False),
    )
