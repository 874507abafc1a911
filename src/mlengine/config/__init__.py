"""The settings of a process, read from its environment once."""

from mlengine.config.settings import Settings, environment_for_child, load_from_environment

__all__ = ["Settings", "environment_for_child", "load_from_environment"]
