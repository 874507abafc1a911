"""`bars.toml`: what a folder says of how its files are written."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mlengine.errors import UpstreamInvalid

SETTINGS_FILE = "bars.toml"
# Days since the end of 1899, as spreadsheets count them.
EXCEL_DAYS = "excel"

_ROLES = frozenset(
    ("timestamp", "date", "time", "symbol", "open", "high", "low", "close", "volume")
    + ("adjusted_close", "close_time", "final", "interval")
)
_CHOICES: dict[str, tuple[object, ...]] = {
    "decimal": (".", ","),
    "unit": ("s", "ms", "us", "ns", EXCEL_DAYS),
    "stamp": ("start", "end"),
    "adjusted": (True, False),
}
_TEXTS = ("zone", "date_format", "encoding")
_KEYS = ("columns", *_TEXTS, *_CHOICES)


@dataclass(frozen=True)
class TableSettings:
    """How a file is written; None is what its own cells have to show.

    `columns` names the header's column of a role, or is the whole header of a file without one.
    `day_first`, `times_are_epochs` and `clock_digits` are what a file's times decided, and
    `most_bytes` is what a file may hold: none of them is stated here.
    """

    columns: Mapping[str, str] | tuple[str, ...] = field(default_factory=dict)
    zone: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    encoding: str | None = None
    unit: str | None = None
    stamp: str = "start"
    adjusted: bool = False
    day_first: bool | None = None
    times_are_epochs: bool | None = None
    clock_digits: int | None = None
    most_bytes: int = 512 * 2**20


@dataclass(frozen=True)
class FolderSettings:
    """What holds for all files, then for those of each pattern; the later one counts."""

    base: TableSettings = field(default_factory=TableSettings)
    stated: Mapping[str, Any] = field(default_factory=dict)
    patterns: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def of(self, file: str) -> TableSettings:
        if not self.stated and not self.patterns:
            return self.base
        settings = replace(self.base, **self.stated)
        for pattern, stated in self.patterns:
            if fnmatchcase(file, pattern):
                settings = replace(settings, **stated)
        return settings


def read_settings(folder: Path, base: TableSettings) -> FolderSettings:
    """What the folder's `bars.toml` says; raises UpstreamInvalid, which names the key."""
    try:
        text = (folder / SETTINGS_FILE).read_bytes().decode()
    except FileNotFoundError:
        return FolderSettings(base)
    except (OSError, UnicodeDecodeError):
        raise UpstreamInvalid(f"{SETTINGS_FILE} can't be read") from None
    try:
        stated = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UpstreamInvalid(f"{SETTINGS_FILE} is no TOML: {error}") from None
    files = stated.pop("files", {})
    if not isinstance(files, dict) or not all(isinstance(each, dict) for each in files.values()):
        raise UpstreamInvalid(f"{SETTINGS_FILE}: files is not a table of patterns")
    patterns = tuple((p, _checked(each, f"files.{p!r}.")) for p, each in files.items())
    return FolderSettings(base, _checked(stated, ""), patterns)


def _checked(stated: Mapping[str, Any], where: str) -> dict[str, Any]:
    for key, value in stated.items():
        if key not in _KEYS:
            raise _refusal(where + key, value, f"no such key; one of {', '.join(_KEYS)}")
        if key in _CHOICES and (type(value), value) not in _typed(_CHOICES[key]):
            choices = " or ".join(str(choice).lower() for choice in _CHOICES[key])
            raise _refusal(where + key, value, f"not {choices}")
        if key in _TEXTS and not isinstance(value, str):
            raise _refusal(where + key, value, "no text")
    if "zone" in stated and not is_zone(stated["zone"]):
        raise _refusal(where + "zone", stated["zone"], "no name of a timezone")
    if "encoding" in stated and not _is_encoding(stated["encoding"]):
        raise _refusal(where + "encoding", stated["encoding"], "no name of an encoding of text")
    if "columns" not in stated:
        return dict(stated)
    return {**stated, "columns": _columns(stated["columns"], where + "columns")}


def _columns(stated: object, key: str) -> Mapping[str, str] | tuple[str, ...]:
    if isinstance(stated, dict):
        for role, name in stated.items():
            if role not in _ROLES:
                roles = ", ".join(sorted(_ROLES))
                raise _refusal(f"{key}.{role}", name, f"no such column; one of {roles}")
            if not isinstance(name, str):
                raise _refusal(f"{key}.{role}", name, "no name")
        return stated
    if isinstance(stated, list) and stated and all(isinstance(name, str) for name in stated):
        return tuple(stated)
    raise _refusal(key, stated, "neither a list of names nor a table of them")


def _refusal(key: str, value: object, reason: str) -> UpstreamInvalid:
    return UpstreamInvalid(f"{SETTINGS_FILE}: {key} = {value!r}: {reason}")


def _typed(choices: tuple[object, ...]) -> list[tuple[type, object]]:
    """1 is no true."""
    return [(type(choice), choice) for choice in choices]


def _is_encoding(name: str) -> bool:
    """Of text: `hex`, for one, is none."""
    try:
        b"a".decode(name)
    except UnicodeError:
        return True
    except LookupError:
        return False
    return True


def is_zone(name: str) -> bool:
    """Whether this is a timezone of the tz database."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return False
    return True
