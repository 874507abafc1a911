"""The trace that this thread works for, and what a service that it calls is told of it."""

from __future__ import annotations

import secrets
from contextvars import ContextVar

from mlengine.core.trace_context import TraceContext

current_trace: ContextVar[TraceContext | None] = ContextVar("current_trace", default=None)


def new_span_id() -> str:
    """16 hexadecimal digits."""
    return secrets.token_hex(8)


def new_trace_id() -> str:
    """32 hexadecimal digits."""
    return secrets.token_hex(16)
