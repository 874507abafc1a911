"""Write docs/openapi.json, docs/api.md and docs/problems.md; `--check` only says which are old.

All but the examples stands in the OpenAPI document, and so beside the views. The examples are those
of scripts/api_examples.md, which `tests/pages/test_tour.py` runs on a real platform.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlengine.app import openapi_document
from mlengine.web.http.problems import PROBLEMS, ProblemKind
from mlengine.web.http.responses import type_of_problem

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "scripts" / "api_examples.md"
WIDTH = 120
_EXAMPLE = re.compile(
    r"```\n((?:GET|POST|DELETE) [^\s?]+).*?```\n\n\d+\n\n```json\n.*?```", re.DOTALL
)
# Problems of nearly every route, of which the page speaks once.
_COMMON = {"invalid_request", "payload_too_large", "internal", "rate_limited", "not_found"}
_HEAD = """# HTTP API

[openapi.json](openapi.json) is the contract for machines. A platform has it at `/openapi.json`,
and a page to try it at `/docs`.
"""
_PROBLEMS_HEAD = """# Problems

What each `code` of an error means, and what to do about it. [The API](api.md#errors) has the form
of an error; its `type` ends in the code.
"""

Document = dict[str, Any]


def pages() -> dict[Path, str]:
    """The generated files, by path."""
    content = openapi_document().decode()
    docs = ROOT / "docs"
    document = json.loads(content)
    return {
        docs / "openapi.json": content,
        docs / "api.md": "\n".join(_api(document)).rstrip() + "\n",
        docs / "problems.md": "\n".join(_problems()),
    }


def _problems() -> Iterator[str]:
    yield _PROBLEMS_HEAD
    for kind in PROBLEMS:
        statuses = ", ".join(map(str, kind.statuses))
        yield f"## `{kind.code}`\n\n{statuses} · `{type_of_problem(kind.code)}`\n"
        yield _wrapped(f"**Cause.** {kind.cause}")
        yield _wrapped(f"**Cure.** {kind.cure}")


def _api(document: Document) -> Iterator[str]:
    examples = _examples(document["paths"])
    yield _HEAD
    yield document["info"]["description"]
    yield from examples.pop("errors")
    yield from _problem_table(PROBLEMS)
    for tag in document["tags"]:
        yield f"## {tag['name']}\n"
        for names, each in _operations(document, tag["name"]):
            yield f"### {' and '.join(f'`{name}`' for name in names)}\n"
            yield from _operation(each, document)
            for name in names:
                yield from examples.pop(name, [])
    if examples:
        raise LookupError(f"examples of no route: {sorted(examples)}")


def _examples(paths: Iterable[str]) -> dict[str, list[str]]:
    """By method and path of the document; what is refused stands under `errors`."""
    found: dict[str, list[str]] = {}
    for match in _EXAMPLE.finditer(EXAMPLES.read_text(encoding="utf-8")):
        method, _, path = match[1].partition(" ")
        refused = re.search(r"```\n\n4\d\d\n", match[0])
        name = "errors" if refused else f"{method} {_template(path, paths)}"
        found.setdefault(name, []).append(f"{match[0]}\n")
    return found


def _template(path: str, paths: Iterable[str]) -> str:
    """The path of the document that `path` is one of; one without variables before others."""
    patterns = {each: re.sub(r"\{\w+\}", "[^/]+", each) for each in paths}
    return min((t for t, p in patterns.items() if re.fullmatch(p, path)), key=lambda t: "{" in t)


def _operations(document: Document, tag: str) -> Iterator[tuple[list[str], Document]]:
    """Those that stand under one heading; a view with two paths has one."""
    grouped: dict[tuple[str, str], tuple[list[str], Document]] = {}
    for path, operations in document["paths"].items():
        for method, each in operations.items():
            if tag in each["tags"]:
                key = (each["summary"], method)
                grouped.setdefault(key, ([], each))[0].append(f"{method.upper()} {path}")
    yield from grouped.values()


def _needed_key(security: list[dict[str, list[str]]]) -> str:
    scopes = " or ".join(
        f"`{scope}`" for each in security for names in each.values() for scope in names
    )
    return f" Needs a key with {scopes}." if scopes and {} not in security else ""


def _operation(each: Document, document: Document) -> Iterator[str]:
    yield f"{each['summary']}{_needed_key(each['security'])}\n"
    if each.get("deprecated"):
        yield "Deprecated: its answers say until when, and what takes its place.\n"
    if description := each.get("description"):
        yield f"{_linked(_refilled(description))}\n"
    query = [parameter for parameter in each["parameters"] if parameter["in"] == "query"]
    described = {parameter["name"]: _described(parameter) for parameter in query}
    yield from _table("parameter", described, _required(query))
    body = each.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        schema = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        required = schema.get("required", [])
        yield from _table("field of the body", schema.get("properties", {}), required)
    links = [
        f"[`{code}`](problems.md#{code})" for code in _codes(each, document) if code not in _COMMON
    ]
    if links:
        yield f"{_fill('Problems: ' + ', '.join(links))}\n"


def _required(parameters: list[Document]) -> list[str]:
    return [each["name"] for each in parameters if each.get("required")]


def _described(parameter: Document) -> Document:
    return {**parameter["schema"], "description": parameter.get("description", "")}


def _codes(each: Document, document: Document) -> Iterator[str]:
    for response in each["responses"].values():
        if "$ref" in response:
            shared = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            yield from re.findall(r"`(\w+)`", shared["description"])


def _table(name: str, fields: Mapping[str, Document], required: Iterable[str]) -> Iterator[str]:
    if not fields.keys() - {"model"}:
        return
    rows = [f"| {name} | default | |", "| --- | --- | --- |"]
    for field, schema in fields.items():
        if field == "model":  # of which the page speaks once
            continue
        default = "required" if field in required else _default(schema)
        rows.append(f"| `{field}` | {default} | {_meaning(schema)} |")
    yield "\n".join(rows) + "\n"


def _default(schema: Document) -> str:
    return f"`{json.dumps(schema['default'])}`".replace('"', "") if "default" in schema else ""


def _meaning(schema: Document) -> str:
    """What it is for, its bounds, its values."""
    parts = [schema.get("description", "")]
    if "minimum" in schema:
        parts.append(f"{_number(schema['minimum'])} to {_number(schema['maximum'])}")
    if "minLength" in schema and "symbol" not in parts[0]:
        parts.append(f"{schema['minLength']} to {schema['maxLength']} characters")
    if "enum" in schema:
        parts.append(", ".join(f"`{value}`" for value in schema["enum"] if value is not None))
    return "; ".join(part for part in parts if part)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _problem_table(kinds: Iterable[ProblemKind]) -> Iterator[str]:
    rows = ["| code | status | when |", "| --- | --- | --- |"]
    for kind in kinds:
        first = kind.cause.partition(". ")[0].rstrip(".")
        statuses = ", ".join(map(str, kind.statuses))
        rows.append(f"| [`{kind.code}`](problems.md#{kind.code}) | {statuses} | {first} |")
    yield "\n".join(rows) + "\n"


def _refilled(text: str) -> str:
    """Paragraphs filled to the width of the page; tables as they are."""
    return "\n\n".join(part if part.startswith("|") else _fill(part) for part in text.split("\n\n"))


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _wrapped(text: str) -> str:
    return f"{_fill(text)}\n"


def _linked(text: str) -> str:
    """`docs/training.md#metrics` as a link from a page beside it."""
    return re.sub(r"docs/(\w+)\.md(#[\w-]+)?", r"[\1](\1.md\2)", text)


def main(*, check: bool) -> int:
    """Write what is old, or print its name and return 1."""
    old = {
        path: text
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in old.items():
        print(path.relative_to(ROOT))
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
