"""How a record becomes one line, of JSON or plain."""

import json as stdlib_json
import logging
import math
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

from mlengine.core.timestamps import rfc3339

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
model_version: ContextVar[str | None] = ContextVar("model_version", default=None)

CONTEXT_IDS = (request_id, trace_id, job_id, model_version)
_RECORD_ATTRIBUTES = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_WORD = re.compile(r"[^\s\"=\\]+")


class LineFormatter(logging.Formatter):
    """Formats a record as one line: of JSON, or plain."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self.line = _json_line if json else _plain_line

    def format(self, record: logging.LogRecord) -> str:
        fields = common_fields(record.created, record.levelname, record.name, _event(record))
        for name, value in vars(record).items():
            if name not in _RECORD_ATTRIBUTES:
                fields[name] = _to_json_types(value)
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = self.formatException(record.exc_info)
        return self.line(fields)


def _json_line(fields: dict[str, object]) -> str:
    """ASCII JSON: control characters and line separators of any script are escaped."""
    try:
        text = orjson.dumps(fields, default=str)
    except TypeError:  # half a character, or a number beyond 64 bits
        text = b"\xff"
    if text.isascii():
        return text.decode()
    return stdlib_json.dumps(fields, default=str, separators=(",", ":"))


def _plain_line(fields: dict[str, object]) -> str:
    """`time LEVEL logger event key=value …`; what can't be printed is escaped."""
    head = [str(fields.pop(name)) for name in ("ts", "level", "logger", "event")]
    data = [f"{name}={_quoted(value)}" for name, value in fields.items() if value is not None]
    return _escaped(" ".join([head[0], f"{head[1]:7}", *head[2:], *data]))


def common_fields(created: float, level: str, logger: str, event: str) -> dict[str, object]:
    """What every line begins with, and the bound ids."""
    moment = rfc3339(datetime.fromtimestamp(created, UTC))
    head: dict[str, object] = {"ts": moment, "level": level, "logger": logger, "event": event}
    for variable in CONTEXT_IDS:
        value = variable.get()
        if value is not None:
            head[variable.name] = value
    return head


def _event(record: logging.LogRecord) -> str:
    """The message; a library's wrong format arguments must not cost the line."""
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _to_json_types(value: object) -> object:
    """JSON types only, without NaN and Infinity."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return {str(name): _to_json_types(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_json_types(inner) for inner in value]
    return value


def _quoted(value: object) -> str:
    """A value as it is when it is one plain word, else in JSON's quotes."""
    text = value if isinstance(value, str) else stdlib_json.dumps(value, default=str)
    if not isinstance(value, str) or _WORD.fullmatch(text):
        return text
    return stdlib_json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
