"""Answers beside what the OpenAPI document says of them, with no member that it doesn't name."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from mlengine.app import openapi_document
from mlengine.web.http.responses import PROBLEM_TYPE
from mlengine.web.openapi.operations import path_of

PREFIX = "/api/v1"
_UNDOCUMENTED_METHODS = ("HEAD", "OPTIONS")


@cache
def document() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(openapi_document())
    return parsed


def closed(node: Any) -> Any:
    """Schemas of objects as they are, but that no other member may be there."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    copy = {name: closed(value) for name, value in node.items()}
    if copy.get("type") == "object" and "properties" in copy:
        copy.setdefault("additionalProperties", False)
    return copy


def faults(path: str, method: str, status: int, kind: str, body: bytes) -> list[str]:
    """What an answer is that the document does not say; `path` is one of the document's."""
    responses = document()["paths"][path][method.lower()]["responses"]
    if str(status) not in responses:
        return [f"{status} is not documented"]
    content = _resolved(responses[str(status)]).get("content", {})
    if not content:
        return ["a body where there should be none"] if body else []
    if kind not in content:
        return [f"{kind} is not documented"]
    if "json" not in kind:
        return []
    validator = _validator(json.dumps(content[kind]["schema"]))
    errors = validator.iter_errors(json.loads(body))
    return [f"{error.json_path}: {error.message[:200]}" for error in errors]


def header_faults(path: str, method: str, status: int, headers: Mapping[str, str]) -> list[str]:
    """What the headers of an answer are that the document does not say."""
    responses = document()["paths"][path][method.lower()]["responses"]
    found = []
    for name, header in _resolved(responses[str(status)])["headers"].items():
        described = _resolved(header)
        value: object = headers.get(name)
        if value is None:
            found += [f"{name} is missing"] * described.get("required", False)
            continue
        if described["schema"].get("type") == "integer":
            value = int(headers[name])
        errors = Draft202012Validator(described["schema"]).iter_errors(value)
        found += [f"{name}: {error.message[:200]}" for error in errors]
    return found


def document_path(adapter: MapAdapter, path: str, method: str) -> str | None:
    """The path of the document that answers, None where none does."""
    try:
        rule, _ = adapter.match(path, method=method, return_rule=True)
    except HTTPException:
        return None
    return path_of(rule).removeprefix(PREFIX) or "/"


def template_of(path: str) -> str:
    """The path of the document that `path` is one of; one without variables before others."""
    patterns = {each: re.sub(r"\{\w+\}", "[^/]+", each) for each in document()["paths"]}
    matching = [each for each, pattern in patterns.items() if re.fullmatch(pattern, path)]
    return min(matching, key=lambda each: "{" in each)


class ConformingClient(FlaskClient):
    """Fails on an answer that the document does not describe."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        response = super().open(*args, **kwargs)
        environ = response.request.environ
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method in _UNDOCUMENTED_METHODS:
            return response
        at = document_path(self.application.url_map.bind("localhost"), path, method)
        kind, body = response.mimetype, response.get_data()
        if body and response.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if at is None:
            assert kind == PROBLEM_TYPE
        elif at in document()["paths"]:  # and no route that a test has made
            status = response.status_code
            assert faults(at, method, status, kind, body) == [], f"{method} {path}"
            assert header_faults(at, method, status, response.headers) == [], f"{method} {path}"
        return response


@cache
def _validator(schema: str) -> Draft202012Validator:
    components = closed(document()["components"])
    return Draft202012Validator(
        {**closed(json.loads(schema)), "components": components}, format_checker=FormatChecker()
    )


def _resolved(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """A response or a header, where it is described."""
    reference = described.get("$ref")
    if reference is None:
        return described
    _, _, kind, name = reference.split("/")
    shared: Mapping[str, Any] = document()["components"][kind]
    return shared[name]
