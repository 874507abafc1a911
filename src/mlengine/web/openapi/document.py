"""The whole OpenAPI document of an application's routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask

from mlengine import __version__
from mlengine.web.http.responses import PROBLEM_TYPE
from mlengine.web.openapi.answer_schemas import AnswerSchemas
from mlengine.web.openapi.headers import described_headers
from mlengine.web.openapi.operations import (
    KEY_SCHEME,
    SECTIONS,
    SECURITY_SCHEME,
    operation,
    path_of,
)
from mlengine.web.openapi.problem_schemas import problem_schemas
from mlengine.web.openapi.request_schemas import describe_fields

VERSION = "3.1.0"
PREFIX = "/api/v1"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_DESCRIPTION = Path(__file__).with_name("description.md")


def build_document(app: Flask) -> bytes:
    """As JSON; the same routes give the same bytes."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        title="ML Engine Platform",
        version=__version__,
        openapi_version=VERSION,
        plugins=[plugin],
        info={
            "description": _DESCRIPTION.read_text(encoding="utf-8"),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        servers=[{"url": "/"}, {"url": PREFIX}],
        tags=[{"name": name} for name in dict.fromkeys(SECTIONS.values())],
    )
    if plugin.converter:
        describe_fields(plugin.converter)
    answers = AnswerSchemas()
    spec.components.security_scheme(KEY_SCHEME, SECURITY_SCHEME)
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(PREFIX):
            view = app.view_functions[rule.endpoint]
            methods = [method for method in _METHODS if method in (rule.methods or ())]
            operations = {each.lower(): operation(rule, each, view, answers) for each in methods}
            spec.path(path=path_of(rule), operations=operations)
    document = _without_null_defaults(spec.to_dict())
    requests = document["components"].get("schemas", {})
    closed = {name: {**schema, "additionalProperties": False} for name, schema in requests.items()}
    document["components"]["schemas"] = {**closed, **answers.components, **problem_schemas()}
    document["components"]["headers"] = described_headers()
    document["components"]["responses"] = _shared_responses(document["paths"])
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _shared_responses(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The problems of all operations by a name each, which stands in their place from now on."""
    shared: dict[str, Any] = {}
    for operations in paths.values():
        for each in operations.values():
            for status, response in each["responses"].items():
                if PROBLEM_TYPE in response.get("content", {}):
                    codes = re.sub(r"\W+", "_", response["description"]).strip("_")
                    shared[f"{status}_{codes}"] = response
                    reference = f"#/components/responses/{status}_{codes}"
                    each["responses"][status] = {"$ref": reference}
    return shared


def _without_null_defaults(node: Any) -> Any:
    """A typed `default: null` is none of its type, and says no more than that there is none."""
    if isinstance(node, dict):
        return {
            name: _without_null_defaults(value)
            for name, value in node.items()
            if not (name == "default" and value is None)
        }
    return [_without_null_defaults(each) for each in node] if isinstance(node, list) else node
