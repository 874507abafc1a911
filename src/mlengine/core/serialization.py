"""Frozen dataclasses to plain JSON values and back, checked against their declared types."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mlengine.core.timestamps import parse_rfc3339, rfc3339

T = TypeVar("T")

# Of a field with a default that came later: written only where it says more than the default, so
# that what was written before is still read, and byte for byte the same.
OPTIONAL = {"optional": True}


def to_plain(value: object) -> object:
    """`value` as dicts, lists and scalars: moments as RFC 3339, NaN and infinities as None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_plain(item)
            for f in dataclasses.fields(value)
            if (item := getattr(value, f.name)) != f.default or not f.metadata.get("optional")
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def from_plain(kind: type[T], value: object) -> T:
    """The inverse of `to_plain` for a dataclass; no field is unknown or of another type.

    None is missing but optional ones.

    Raises ValueError that names the field.
    """
    return _record(kind, value, kind.__name__)


def has_declared_types(record: object) -> bool:
    """Whether each field of a dataclass holds a value of its declared type, itself one deep."""
    types = _declared_types(type(record))  # type: ignore[arg-type] # classes are hashable
    return all(isinstance(getattr(record, name), kinds) for name, kinds in types.items())


@cache
def _declared_types(kind: type) -> Mapping[str, tuple[type, ...]]:
    return {name: tuple(_runtime_types(hint)) for name, hint in get_type_hints(kind).items()}


def _runtime_types(hint: object) -> Iterator[type]:
    """What `isinstance` may see; a float may be whole, and what is no class is anything."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for each in get_args(hint):
            yield from _runtime_types(each)
    elif origin is Literal:
        yield from {type(each) for each in get_args(hint)}
    elif hint is float:
        yield from (float, int)
    else:
        kind = origin or hint
        yield kind if isinstance(kind, type) else object


_type_hints = cache(get_type_hints)  # listing versions would read them again for each record


def _record(kind: type[T], value: object, where: str) -> T:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: an object is expected")  # noqa: TRY004
    hints = _type_hints(kind)  # type: ignore[arg-type] # classes are hashable
    required = {f.name for f in dataclasses.fields(kind) if not f.metadata.get("optional")}  # type: ignore[arg-type]
    if not required <= set(value) <= set(hints):
        raise ValueError(f"{where}: other fields than {', '.join(sorted(hints))}")
    return kind(**{name: _value(hints[name], item, name) for name, item in value.items()})


def _value(hint: object, value: object, where: str) -> object:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _one_of(get_args(hint), value, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _record(hint, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {key: _value(get_args(hint)[1], item, where) for key, item in value.items()}
    return _scalar(hint, value, where)


def _one_of(hints: tuple[object, ...], value: object, where: str) -> object:
    if value is None and NoneType in hints:
        return None
    others = [hint for hint in hints if hint is not NoneType]
    if len(others) == 1:
        return _value(others[0], value, where)
    if type(value) in others:
        return value
    raise ValueError(f"{where}: a value of another type")


def _scalar(hint: object, value: object, where: str) -> object:
    if hint is datetime and isinstance(value, str):
        return parse_rfc3339(value)
    if hint is float and type(value) in (int, float):
        return float(value)  # type: ignore[arg-type]
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if type(value) is hint:
        return value
    raise ValueError(f"{where}: a value of another type")
