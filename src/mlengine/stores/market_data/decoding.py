"""JSON as services write it: also with NaN, Infinity and integers of any length."""

import json
from collections.abc import Callable

import orjson

from mlengine.errors import UpstreamInvalid

_GZIP = b"\x1f\x8b"


def decode_json(body: bytes) -> object:
    """What `body` says; raises UpstreamInvalid when it is no JSON at all."""
    try:
        decoded: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _decode_tolerantly(body)
    return decoded


def describe(value: object) -> str:
    """What a decoded value is, for an error: its kind, and its keys or how it begins."""
    if isinstance(value, dict):
        names = ", ".join(repr(str(name))[:40] for name in list(value)[:6])
        return f"an object with the keys {names}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "null" if value is None else f"{value!r:.60}"


def _decode_tolerantly(body: bytes) -> object:
    try:
        decoded: object = json.loads(body.decode("utf-8-sig"), parse_int=_integer)
    except (ValueError, RecursionError):
        raise UpstreamInvalid(f"the answer is not JSON{_kind(body)}") from None
    return decoded


def _kind(body: bytes) -> str:
    """What it is instead, where that is plain."""
    text = body.strip()
    if not text:
        return ", but empty"
    if text.startswith(b"<"):
        return ", but HTML or XML"
    return ", but compressed" if body.startswith(_GZIP) else ""


def _integer(text: str) -> float:
    """Beyond 64 bits as a float: exact enough for a volume, and no attack by its length."""
    return int(text) if len(text) <= 19 else float(text)


def is_stated(value: object, expected: str, fold: Callable[[str], str] = str) -> bool:
    """Whether an answer says what is expected, also as a number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        return False
    return value is None or fold(str(value)) == expected
