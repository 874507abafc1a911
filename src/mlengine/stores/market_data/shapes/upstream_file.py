"""`upstream.toml`: what an operator says of the shape of a service."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import BadSetting
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.shape import (
    FIELDS,
    ORDERS,
    PAGING,
    ROWS,
    SETTING,
    TIMES,
    ServiceShape,
)
from mlengine.stores.market_data.shapes.zones import zone_named

_CHOICES = {"time": TIMES, "rows": ROWS, "paging": PAGING, "order": ORDERS}
_PATHS = ("candles", "symbol", "next_page")
_TABLES: Mapping[str, tuple[str, ...] | None] = {
    "query": None,
    "intervals": tuple(INTERVALS),
    "fields": FIELDS,
    "no_data": None,
    "unknown": None,
    "success": None,
}
_WITH_NUMBERS = ("fields", "no_data", "unknown", "success")
_KEYS = ("shape", "path", "next_parameter", "zone", *_CHOICES, *_PATHS, *_TABLES)


def read_upstream_file(path: Path) -> ServiceShape:
    """The shape that the file describes, perhaps from a ready one on; raises BadSetting."""

    def refuse(reason: str) -> BadSetting:
        return BadSetting(SETTING, str(path), reason)

    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise refuse("a readable text file") from None
    except tomllib.TOMLDecodeError as error:
        raise refuse(f"TOML ({error})") from None
    for key, value in stated.items():
        expected = _expected(key, value)
        if expected:
            raise refuse(f"{key} to be {expected}, not {value!r:.60}")
    ready = READY_SHAPES.get(stated.pop("shape", ""), ServiceShape())
    changes = {key: _as_path(value) if key in _PATHS else value for key, value in stated.items()}
    shape = ready.with_changes(changes)
    if "/" in shape.zone and not zone_named(shape.zone):
        raise refuse("zone to be one such as America/New_York, or where the answer states it")
    if not shape.path.startswith("/"):
        raise refuse("path to begin with /")
    if shape.paging == "next" and not shape.next_page:
        raise refuse('next_page to be set where paging is "next"')
    if shape.candles is not None and not shape.fields:
        raise refuse("fields to say how its candles call ours")
    return shape


def _expected(key: str, value: object) -> str | None:
    """What the value of that key should be; None where it is."""
    if key == "shape":
        return None if value in READY_SHAPES else f"one of {', '.join(READY_SHAPES)}"
    if key in _CHOICES:
        return None if value in _CHOICES[key] else f"one of {', '.join(_CHOICES[key])}"
    if key in _PATHS:
        is_path = isinstance(value, str) or _all_are(value, lambda each: isinstance(each, str))
        return None if is_path else "a path with dots, or a list of keys"
    if key in _TABLES:
        return _expected_table(value, _TABLES[key], places=key in _WITH_NUMBERS)
    if key in ("path", "next_parameter", "zone"):
        return None if isinstance(value, str) else "text"
    return f"one of the keys {', '.join(_KEYS)}"


def _expected_table(value: object, names: tuple[str, ...] | None, *, places: bool) -> str | None:
    if not isinstance(value, dict) or (names and not value.keys() <= set(names)):
        return f"a table of {', '.join(names)}" if names else "a table"
    kinds = (str, int) if places else (str,)
    if all(isinstance(each, kinds) for each in value.values()):
        return None
    return "a table of texts or whole numbers" if places else "a table of texts"


def _as_path(value: str | list[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part for part in value.split(".") if part)
    return tuple(value)


def _all_are(value: object, test: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(test, value))
