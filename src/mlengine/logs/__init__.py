"""One record, one line: JSON for machines, plain text on a developer's terminal.

The bound ids (request, job, model version) come from context variables, so that the
lines of a service or a store carry them by themselves.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from typing import TextIO

from mlengine.logs.lines import (
    CONTEXT_IDS,
    LineFormatter,
    common_fields,
    job_id,
    model_version,
    request_id,
    trace_id,
)

__all__ = [
    "LineFormatter",
    "bound_ids",
    "configure",
    "job_id",
    "lifecycle",
    "log_many",
    "log_tail",
    "model_version",
    "request_id",
    "trace_id",
]

# When a part of the platform starts, stops or is started again.
lifecycle = logging.getLogger("mlengine.lifecycle")

# They log what the platform's own lines already say.
_NOISY_LOGGERS = ("flask-limiter", "urllib3", "alembic", "rq.worker")


def configure(level: str, *, json: bool, lifecycle_level: str | None = None) -> None:
    """Send every record of this process to standard error, one line each.

    `level`: DEBUG (the platform's own loggers only; all others stay at INFO), INFO, WARNING or
    ERROR; `lifecycle_level`, by default the same, is that of `lifecycle`. A second call replaces
    the first; handlers that others put on the root logger stay.
    """
    root = logging.getLogger()
    handler = _add_handler(root, level, json=json)
    root.setLevel(max(logging.INFO, handler.level))
    _add_handler(lifecycle, lifecycle_level or level, json=json)
    lifecycle.setLevel(lifecycle_level or level)
    lifecycle.propagate = False
    logging.getLogger("mlengine").setLevel(level)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, handler.level))


def _add_handler(logger: logging.Logger, level: str, *, json: bool) -> logging.Handler:
    for old in [each for each in logger.handlers if isinstance(each, _StderrHandler)]:
        logger.removeHandler(old)
    handler = _StderrHandler(LineFormatter(json=json))
    handler.setLevel(level)
    logger.addHandler(handler)
    return handler


def bound_ids(
    *,
    request: str | None = None,
    trace: str | None = None,
    job: str | None = None,
    version: str | None = None,
) -> AbstractContextManager[None]:
    """Put the ids on every line of this block; those bound before return after it."""
    ids = zip(CONTEXT_IDS, (request, trace, job, version), strict=True)
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


def log_many(
    logger: logging.Logger,
    event: str,
    lines: Iterable[Mapping[str, object]],
    level: int = logging.INFO,
) -> None:
    """As `logger.log(level, event, extra=…)` of each, for facts of JSON's own types.

    Where standard error alone listens it is one write, at a third of the cost.
    """
    if not logger.isEnabledFor(level):
        return
    handler = _sole_stderr_handler(logger, level)
    if handler is None:
        for facts in lines:
            logger.log(level, event, extra=facts)
        return
    head = common_fields(time.time(), logging.getLevelName(level), logger.name, event)
    handler.write([{**head, **facts} for facts in lines])


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


def _sole_stderr_handler(logger: logging.Logger, level: int) -> _StderrHandler | None:
    """Standard error's handler where no other handler and no filter would see a record."""
    handlers, ancestor = [*logger.handlers], logger
    while ancestor.propagate and ancestor.parent:
        ancestor = ancestor.parent
        handlers += ancestor.handlers
    if len(handlers) != 1 or logger.filters:
        return None
    (only,) = handlers
    if not isinstance(only, _StderrHandler) or only.filters or only.level > level:
        return None
    return only
