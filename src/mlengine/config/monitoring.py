"""The settings of monitoring."""

from dataclasses import dataclass

from mlengine.config.env_reader import EnvReader


@dataclass(frozen=True)
class MonitoringSettings:
    """`every_seconds` is 0 where the worker updates nothing by itself."""

    every_seconds: int
    hooks_allow_private: bool


def monitoring(read: EnvReader) -> MonitoringSettings:
    """What the variables MONITOR_… say; raises BadSetting."""
    return MonitoringSettings(
        every_seconds=read.integer("MONITOR_EVERY_SECONDS", 60, 0, 86_400),
        hooks_allow_private=read.boolean("HOOKS_ALLOW_PRIVATE", default=False),
    )
