"""Reading one variable at a time out of a mapping, and refusing what is not what it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlengine.errors import BadSetting


@dataclass(frozen=True)
class Reader:
    """An empty value means unset; each method raises BadSetting, naming variable and value."""

    environ: Mapping[str, str]

    def optional(self, name: str) -> str | None:
        return self.environ.get(name, "").strip() or None

    def text(self, name: str, default: str) -> str:
        return self.optional(name) or default

    def choice(
        self, name: str, default: str, allowed: tuple[str, ...], fold: Callable[[str], str] = str
    ) -> str:
        value = fold(self.text(name, default))
        if value not in allowed:
            raise BadSetting(name, value, f"one of {', '.join(allowed)}")
        return value

    def whole(self, name: str, default: int, low: int, high: int | None = None) -> int:
        raw = self.text(name, str(default))
        limits = f"a whole number from {low}" + (f" to {high}" if high is not None else " on")
        if not re.fullmatch(r"-?[0-9]{1,18}", raw):
            raise BadSetting(name, raw, limits)
        value = int(raw)
        if value < low or (high is not None and value > high):
            raise BadSetting(name, raw, limits)
        return value

    def number(self, name: str, default: float, expected: str) -> float:
        raw = self.text(name, str(default))
        try:
            return float(raw)
        except ValueError:
            raise BadSetting(name, raw, expected) from None

    def seconds(self, name: str, default: float, *, zero: bool = False) -> float:
        expected = f"seconds, {'zero or more' if zero else 'more than zero'}, at most 86400"
        value = self.number(name, default, expected)
        if not 0 <= value <= 86_400 or (value == 0 and not zero):
            raise BadSetting(name, self.text(name, ""), expected)
        return value

    def share(self, name: str, default: float) -> float:
        expected = "a share between 0.05 and 0.5"
        value = self.number(name, default, expected)
        if not 0.05 <= value <= 0.5:
            raise BadSetting(name, self.text(name, ""), expected)
        return value

    def at_least_zero(self, name: str, default: float) -> float:
        value = self.number(name, default, "zero or more")
        if not 0 <= value < float("inf"):
            raise BadSetting(name, self.text(name, ""), "zero or more")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default)).lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise BadSetting(name, value, "true or false")

    def listed(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        raw = self.optional(name)
        if raw is None:
            return default
        return tuple(part.strip() for part in raw.split(",") if part.strip())

    def path(self, name: str) -> Path | None:
        raw = self.optional(name)
        return Path(raw).absolute() if raw else None
