"""The requests of docs/api.md with their answers, and what they have in common with real ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.pages.markdown import ROOT

_EXAMPLE = re.compile(
    r"```\n(GET|POST|DELETE) (\S+)\n(.*?)```\n\n(\d+)\n\n```json\n(.*?)```", re.DOTALL
)
# What is left out within brackets, in place of a value, and between two fields.
_ELISIONS = {r",?\s*…(?=\s*[}\]])": "", r":\s*…": ": null", r"…,\s*": ""}
# What an event says depends on what happened last.
_OPEN = {"details"}


@dataclass(frozen=True)
class Example:
    method: str
    target: str
    body: bytes
    status: int
    answer: object
    is_whole: bool


def examples() -> Iterator[Example]:
    """In the order of the page."""
    text = (ROOT / "docs" / "api.md").read_text()
    for method, target, body, status, answer in _EXAMPLE.findall(text):
        shortened = answer
        for pattern, replacement in _ELISIONS.items():
            shortened = re.sub(pattern, replacement, shortened)
        whole = shortened == answer
        yield Example(method, target, body.encode(), int(status), json.loads(shortened), whole)


def absent(shown: object, real: object, at: str = "") -> Iterator[str]:
    """Where `real` lacks a field that is `shown`, or has another type there."""
    if shown is None or real is None:
        return
    if isinstance(shown, dict) and isinstance(real, dict):
        for name, value in shown.items():
            if name not in real:
                yield f"{at}.{name}"
            elif name not in _OPEN:
                yield from absent(value, real[name], f"{at}.{name}")
    elif isinstance(shown, list) and isinstance(real, list):
        for value, actual in zip(shown, real, strict=False):
            yield from absent(value, actual, f"{at}[]")
    elif _kind(shown) is not _kind(real):
        yield f"{at}: {real!r}"


def _kind(value: object) -> type:
    return float if type(value) is int else type(value)
