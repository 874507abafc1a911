"""JSON schemas of answers, from the types that are written."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from mlengine.web.schemas.answers import VALUES, ListOf, OneOf, Shape, Values

JsonSchema = dict[str, Any]

_SCALARS: Mapping[object, JsonSchema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    None: {"type": "null"},
    types.NoneType: {"type": "null"},
}


class AnswerSchemas:
    """Schemas of types; those with a name stand in `components`, and are referred to."""

    def __init__(self) -> None:
        self.components: dict[str, JsonSchema] = {}

    def of(self, kind: object, values: Sequence[str] | None = None) -> JsonSchema:
        """The schema of `kind`, whose texts are among `values`.

        Raises TypeError for a type that no answer has.
        """
        if kind in (object, Any):
            return {}
        if kind is str and values is not None:
            return {"type": "string", "enum": list(values)}
        if isinstance(kind, type | None) and kind in _SCALARS:
            return dict(_SCALARS[kind])
        if isinstance(kind, Shape | ListOf | OneOf | Values):
            return self._of_description(kind)
        if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or is_typeddict(kind)):
            return self._named(Shape(kind.__name__, kind))
        return self._of_generic(kind, values)

    def _of_description(self, kind: Shape | ListOf | OneOf | Values) -> JsonSchema:
        if isinstance(kind, Shape):
            return self._named(kind)
        if isinstance(kind, ListOf):
            return {"type": "array", "items": self.of(kind.item)}
        if isinstance(kind, Values):
            return {"type": "string", "enum": list(kind.values)}
        return {"anyOf": [self.of(shape) for shape in kind.shapes]}

    def _of_generic(self, kind: object, values: Sequence[str] | None) -> JsonSchema:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return _any_of([self.of(each, values) for each in arguments])
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1], values)}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(arguments[0], values)}
        raise TypeError(f"no answer has the type {kind}")

    def _named(self, shape: Shape) -> JsonSchema:
        if shape.name not in self.components:
            self.components[shape.name] = {}  # it may refer to itself
            self.components[shape.name] = self._object(shape)
        return {"$ref": f"#/components/schemas/{shape.name}"}

    def _object(self, shape: Shape) -> JsonSchema:
        hints = get_type_hints(shape.of) if shape.of else {}
        declared = {name: self.of(hints[name], _values(shape.of, name)) for name in _names(shape)}
        members = {name: self.of(kind) for name, kind in shape.members.items()}
        properties = {**declared, **members}
        optional = {*shape.optional, *(_written_at_times(shape.of) - shape.members.keys())}
        schema = {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in optional],
        }
        if shape.rest is not None:
            schema["additionalProperties"] = self.of(shape.rest)
        return schema


def _names(shape: Shape) -> list[str]:
    """Of the fields that stay as they are, in their order."""
    if shape.of is None:
        return []
    given = (
        [field.name for field in dataclasses.fields(shape.of)]
        if dataclasses.is_dataclass(shape.of)
        else list(shape.of.__annotations__)
    )
    return [name for name in given if name not in {*shape.without, *shape.members}]


def _values(of: type | None, name: str) -> Sequence[str] | None:
    """Those that are declared for the field of a class or of one that it extends."""
    classes = of.__mro__ if of else ()
    return next((VALUES[each, name] for each in classes if (each, name) in VALUES), None)


def _written_at_times(of: type | None) -> set[str]:
    """Fields that the manifest's writer leaves out where they say no more than their default."""
    if of is None or not dataclasses.is_dataclass(of):
        return set()
    return {field.name for field in dataclasses.fields(of) if field.metadata.get("optional")}


def _any_of(schemas: list[JsonSchema]) -> JsonSchema:
    """Types without more to say, and a null beside another type, stand in one list."""
    plain = [schema["type"] for schema in schemas if schema.keys() == {"type"}]
    if len(plain) == len(schemas):
        return {"type": _merged(plain)}
    first, *others = schemas
    if others == [{"type": "null"}] and "type" in first:
        enum = {"enum": [*first["enum"], None]} if "enum" in first else {}
        return {**first, **enum, "type": [first["type"], "null"]}
    return {"anyOf": schemas}


def _merged(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
