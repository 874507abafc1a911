"""Reading one variable at a time out of a mapping, and refusing what is not what it should be."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlengine.errors import BadSetting

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.IGNORECASE)


@dataclass(frozen=True)
class EnvReader:
    """An empty value means unset; each method raises BadSetting, naming variable and value.

    `texts` collects what each variable that was read says, or its default.
    """

    environ: Mapping[str, str]
    texts: dict[str, str] = field(default_factory=dict)

    def is_set(self, name: str) -> bool:
        return bool(self.environ.get(name, "").strip())

    def text(self, name: str, default: str) -> str:
        self.texts[name] = self.environ.get(name, "").strip() or default
        return self.texts[name]

    def optional(self, name: str) -> str | None:
        return self.text(name, "") or None

    def choice(
        self, name: str, default: str, allowed: tuple[str, ...], fold: Callable[[str], str] = str
    ) -> str:
        value = fold(self.text(name, default))
        if value not in allowed:
            raise BadSetting(name, value, f"one of {', '.join(allowed)}")
        return value

    def integer(self, name: str, default: int, low: int, high: float = math.inf) -> int:
        text = self.text(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            limits = f"from {low} on" if high == math.inf else f"from {low} to {high}"
            raise BadSetting(name, text, f"a whole number {limits}")
        return int(text)

    def seconds(self, name: str, default: float, *, zero: bool = False) -> float:
        expected = f"seconds, {'zero or more' if zero else 'more than zero'}, at most 86400"
        return self._number(
            name, default, expected, lambda value: 0 <= value <= 86_400 and (zero or value > 0)
        )

    def number(self, name: str, default: float, low: float, high: float) -> float:
        expected = f"a number from {low:.12g} to {high:.12g}"
        return self._number(name, default, expected, lambda value: low <= value <= high)

    def _number(
        self, name: str, default: float, expected: str, allows: Callable[[float], bool]
    ) -> float:
        text = self.text(name, str(default))
        if not _NUMBER.fullmatch(text) or not allows(float(text)):
            raise BadSetting(name, text, expected)
        return float(text)

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default).lower()).lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise BadSetting(name, value, "true or false")

    def comma_list(self, name: str, default: str = "") -> tuple[str, ...]:
        text = self.text(name, default)
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def path(self, name: str) -> Path | None:
        text = self.optional(name)
        return Path(text).absolute() if text else None
