"""Which variables the settings are read from, found by watching the one reader."""

from __future__ import annotations

from mlengine.config import Settings


class _Watched(dict[str, str]):
    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(key)
        return default


def settings_read() -> frozenset[str]:
    """The names of all variables."""
    watched = _Watched()
    Settings.from_env(watched)
    return frozenset(watched.asked)
