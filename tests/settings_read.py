"""Which variables the settings are read from: the one reader says."""

from __future__ import annotations

from mlengine.config import Settings
from mlengine.config.env_reader import EnvReader


def settings_read() -> frozenset[str]:
    """The names of all variables."""
    reader = EnvReader({})
    Settings.read(reader)
    return frozenset(reader.texts)
