"""What was done for a trace, and how long it took, where somebody collects it; else at no cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Literal, Protocol

from mlengine.core.trace_context import TraceContext
from mlengine.stores.system.current_trace import current_trace, new_span_id

Kind = Literal["server", "client", "consumer"]
Attributes = dict[str, str | int]


class Span(Protocol):
    """One piece of work; what is done within it belongs to `trace`."""

    @property
    def trace(self) -> TraceContext: ...

    def end(self, attributes: Mapping[str, str | int], *, failed: bool) -> None: ...


class SpanRecorder(Protocol):
    def start(
        self, kind: Kind, name: str, parent: TraceContext, attributes: Mapping[str, str | int]
    ) -> Span: ...

    def flush(self) -> None: ...


class _Process:
    """One recorder for all threads of a process."""

    recorder: SpanRecorder | None = None


def record_with(recorder: SpanRecorder | None) -> None:
    """Let `recorder` have all spans of this process from here on; None is nobody."""
    _Process.recorder = recorder


def are_recorded() -> bool:
    return _Process.recorder is not None


def flush() -> None:
    """Hand over what has ended; for processes that end without a warning."""
    if _Process.recorder:
        _Process.recorder.flush()


def start(kind: Kind, name: str, attributes: Mapping[str, str | int]) -> Span | None:
    """A span of the current trace, to be ended by the caller; None where none is recorded."""
    trace = current_trace.get()
    if _Process.recorder is None or trace is None:
        return None
    return _Process.recorder.start(kind, name, trace, attributes)


@contextmanager
def span(kind: Kind, name: str, attributes: Mapping[str, str | int]) -> Iterator[Attributes]:
    """One span for the block, which may add attributes.

    It has failed where the block raises, or was answered with a status from 400 on.
    """
    found: Attributes = {}
    started = start(kind, name, attributes)
    if started is None:
        yield found
        return
    token, failed = current_trace.set(started.trace), True
    try:
        yield found
        failed = False
    finally:
        current_trace.reset(token)
        refused = int(found.get("http.response.status_code", 0)) >= HTTPStatus.BAD_REQUEST
        started.end(found, failed=failed or refused)


def outgoing_headers() -> dict[str, str]:
    """`traceparent` and `tracestate` for one call to a service; none outside of a trace."""
    trace = current_trace.get()
    if trace is None:
        return {}
    own = trace.parent_id if are_recorded() else None
    headers = {"traceparent": trace.traceparent(own or new_span_id())}
    return {**headers, "tracestate": trace.state} if trace.state else headers
