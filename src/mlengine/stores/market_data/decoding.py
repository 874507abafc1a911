"""JSON as services write it: also with NaN, Infinity and integers of any length."""

import json
import re
from collections.abc import Callable, Mapping

import orjson

from mlengine.core.bars.intervals import is_same_interval
from mlengine.core.bars.symbols import is_same_symbol
from mlengine.errors import UpstreamInvalid

_GZIP = b"\x1f\x8b"
# How services say, with status 200, that an answer is none.
_ERRORS = ("error", "errors", "error message", "error_message", "errmsg", "note", "information")
_VERDICTS = ("status", "s", "state")
_FAILED = ("error", "fail", "failed", "failure", "nok", "not_authorized")
_CODES = ("code", "statuscode", "status_code", "retcode")
_MESSAGES = ("message", "msg", "retmsg")
_FINE = ("", "ok", "success")
_REFUSAL = re.compile("[45][0-9]{2}")
_LIMIT = re.compile("limit|too many|exceed|quota|credit|upgrade|authori|denied|expired")
_SUCCESSES = ("success", "ok")


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


def refuse_stated_error(answer: object, hint: str = "") -> None:
    """Raises UpstreamInvalid for an answer that says, in place of candles, what went wrong.

    By an error with a text, a failed status, a code that is none of success, the note that comes
    where somebody asks too often, or a message of that.
    """
    if not isinstance(answer, dict):
        return
    said = {key: _said(value) for key, value in answer.items() if value is not None}
    messages = [said[key] for key in said if _said(key) in _MESSAGES]
    is_fine = all(message in _FINE for message in messages)
    for key, value in said.items():
        name = _said(key)
        if (
            (name in _ERRORS and answer[key])
            or (name in _VERDICTS and value in _FAILED)
            or (name in _CODES and (_is_failure(value) or (answer[key] and not is_fine)))
            or (name in _SUCCESSES and answer[key] is False)
            or (name in _MESSAGES and _LIMIT.search(value))
        ):
            words = f"the answer states an error in its {str(key)!r:.40}"
            raise UpstreamInvalid(f"{words}: it is {describe(answer)}{hint}")


def _said(value: object) -> str:
    return str(value).strip().casefold()


def _is_failure(code: str) -> bool:
    """Whether it is an HTTP status of a refusal; other codes mean what each service likes."""
    return _REFUSAL.fullmatch(code) is not None


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


def is_stated(value: object, expected: str, is_same: Callable[[str, str], bool]) -> bool:
    """Whether an answer says what is expected, also as a number or in other words, or nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        return False
    return value is None or value == expected or is_same(str(value), expected)


def refuse_other(stated: Mapping[str, object], *, symbol: str, interval: str) -> None:
    """Raises UpstreamInvalid for what states that it is of another symbol or interval."""
    for key, expected, is_same in (
        ("symbol", symbol, is_same_symbol),
        ("ticker", symbol, is_same_symbol),
        ("interval", interval, is_same_interval),
    ):
        if not is_stated(stated.get(key), expected, is_same):
            what = "interval" if key == "interval" else "symbol"
            words = f"the answer is for another {what} than asked"
            raise UpstreamInvalid(f"{words}: {stated[key]!r:.80}")
