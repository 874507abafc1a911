"""Problems in the OpenAPI document: a schema for each kind, a response for each set of kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlengine.web.http.problems import BY_CODE, PROBLEMS, ProblemKind
from mlengine.web.http.responses import PROBLEM_TYPE, type_of_problem

JsonSchema = dict[str, Any]

_EXTRA: dict[str, JsonSchema] = {
    "errors": {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    },
    "run_id": {"type": "string"},
    "first_possible": {"type": "string", "format": "date-time"},
}
_TEXTS = ("title", "detail", "request_id")
_ALWAYS = {"run_id"}


def problem_schemas() -> dict[str, JsonSchema]:
    """One by name for each kind of problem."""
    return {_name(kind): _schema(kind) for kind in PROBLEMS}


def problem_responses(codes: Iterable[str]) -> dict[str, JsonSchema]:
    """By status, what problems with these codes come to.

    A code `invalid_request:422` stands for that status of it alone.
    """
    by_status: dict[str, list[ProblemKind]] = {}
    for code in sorted({*codes}):
        name, _, only = code.partition(":")
        for status in [only] if only else map(str, BY_CODE[name].statuses):
            by_status.setdefault(status, []).append(BY_CODE[name])
    return {status: _response(kinds) for status, kinds in sorted(by_status.items())}


def _response(kinds: list[ProblemKind]) -> JsonSchema:
    references = [{"$ref": f"#/components/schemas/{_name(kind)}"} for kind in kinds]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {
        "description": ", ".join(f"`{kind.code}`" for kind in kinds),
        "content": {PROBLEM_TYPE: {"schema": schema}},
    }


def _schema(kind: ProblemKind) -> JsonSchema:
    extra = {name: _EXTRA[name] for name in kind.extra}
    return {
        "type": "object",
        "description": f"{kind.cause} {kind.cure}",
        "properties": {
            "type": {"const": type_of_problem(kind.code)},
            "code": {"const": kind.code},
            "status": {"type": "integer", "enum": list(kind.statuses)},
            **{name: {"type": "string"} for name in _TEXTS},
            **extra,
        },
        "required": [
            "type",
            "code",
            "status",
            *_TEXTS,
            *(name for name in extra if name in _ALWAYS),
        ],
    }


def _name(kind: ProblemKind) -> str:
    return "".join(word.title() for word in kind.code.split("_")) + "Problem"
