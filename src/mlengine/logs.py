"""One record, one line: JSON for machines, plain text on a developer's terminal.

The bound ids (request, job, model version) come from context variables, so that the
lines of a service or a store carry them by themselves.
"""

import json as stdlib_json
import logging
import math
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import orjson

from mlengine.core.timestamps import rfc3339

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
model_version: ContextVar[str | None] = ContextVar("model_version", default=None)

_CONTEXT_IDS = (request_id, job_id, model_version)
_RECORD_ATTRIBUTES = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_WORD = re.compile(r"[^\s\"=\\]+")

# They log what the platform's own lines already say.
_NOISY_LOGGERS = ("flask-limiter", "urllib3", "alembic", "rq.worker")


def configure(level: str, *, json: bool) -> None:
    """Send every record of this process to standard error, one line each.

    `level`: DEBUG (the platform's own loggers only; all others stay at INFO), INFO, WARNING or
    ERROR. A second call replaces the first; handlers that others put on the root logger stay.
    """
    handler = _StderrHandler(LineFormatter(json=json))
    handler.setLevel(level)
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(logging.INFO, handler.level))
    logging.getLogger("mlengine").setLevel(level)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, handler.level))


def bound_ids(
    *, request: str | None = None, job: str | None = None, version: str | None = None
) -> AbstractContextManager[None]:
    """Put the ids on every line of this block; those bound before return after it."""
    ids = zip(_CONTEXT_IDS, (request, job, version), strict=True)
    return _BoundIds([(variable, value) for variable, value in ids if value is not None])


class _BoundIds(AbstractContextManager[None]):
    """Each request enters two: a generator would cost three times as much."""

    def __init__(self, ids: list[tuple[ContextVar[str | None], str]]) -> None:
        self._ids = ids

    def __enter__(self) -> None:
        self._tokens = [(variable, variable.set(value)) for variable, value in self._ids]

    def __exit__(self, *_: object) -> None:
        for variable, token in reversed(self._tokens):
            variable.reset(token)


@contextmanager
def log_tail(lines: int = 50) -> Iterator[Callable[[], list[str]]]:
    """Within this block, the newest `lines` that this process logged, each as JSON.

    The platform's own are in it from INFO on, whatever goes to standard error. A line holds no
    traceback and at most a thousand characters.
    """
    tail, root, ours = _TailHandler(lines), logging.getLogger(), logging.getLogger("mlengine")
    before = ours.level
    root.addHandler(tail)
    ours.setLevel(min(ours.getEffectiveLevel(), logging.INFO))
    try:
        yield tail.lines
    finally:
        ours.setLevel(before)
        root.removeHandler(tail)


def log_many(logger: logging.Logger, event: str, lines: Iterable[Mapping[str, object]]) -> None:
    """As `logger.info(event, extra=…)` of each, for facts of JSON's own types.

    Where standard error alone listens it is one write, at a third of the cost.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    handler = _sole_stderr_handler(logger)
    if handler is None:
        for facts in lines:
            logger.info(event, extra=facts)
        return
    head = _common_fields(time.time(), "INFO", logger.name, event)
    handler.write([{**head, **facts} for facts in lines])


class LineFormatter(logging.Formatter):
    """Formats a record as one line: of JSON, or plain."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self.line = _json_line if json else _plain_line

    def format(self, record: logging.LogRecord) -> str:
        fields = _common_fields(record.created, record.levelname, record.name, _event(record))
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


class _TailHandler(logging.Handler):
    _LONGEST = 1000

    def __init__(self, lines: int) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(LineFormatter(json=True))
        self._newest: deque[str] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        bare = logging.makeLogRecord({**vars(record), "exc_info": None})
        self._newest.append(self.format(bare)[: self._LONGEST])

    def lines(self) -> list[str]:
        with self.lock:  # type: ignore[union-attr]
            return list(self._newest)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Looks `sys.stderr` up at each record, so that a redirected stream is honoured."""

    def __init__(self, formatter: LineFormatter) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(formatter)
        self._formatter = formatter

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def write(self, lines: Sequence[dict[str, object]]) -> None:
        """Write all at once; as with a record, what no stream takes is lost."""
        text = "".join([f"{self._formatter.line(fields)}{self.terminator}" for fields in lines])
        with self.lock, suppress(OSError, ValueError, AttributeError):  # type: ignore[union-attr]
            self.stream.write(text)
            self.stream.flush()


def _sole_stderr_handler(logger: logging.Logger) -> _StderrHandler | None:
    """Standard error's handler where no other handler and no filter would see a record."""
    handlers, ancestor = [*logger.handlers], logger
    while ancestor.propagate and ancestor.parent:
        ancestor = ancestor.parent
        handlers += ancestor.handlers
    if len(handlers) != 1 or logger.filters:
        return None
    (only,) = handlers
    if not isinstance(only, _StderrHandler) or only.filters or only.level > logging.INFO:
        return None
    return only


def _common_fields(created: float, level: str, logger: str, event: str) -> dict[str, object]:
    """What every line begins with, and the bound ids."""
    moment = rfc3339(datetime.fromtimestamp(created, UTC))
    head: dict[str, object] = {"ts": moment, "level": level, "logger": logger, "event": event}
    for variable in _CONTEXT_IDS:
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
