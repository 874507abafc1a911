"""The trace that a request belongs to, by W3C Trace Context: `traceparent` and `tracestate`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(
    "(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.ASCII,
)
_TRACE_ID = re.compile("(?!0{32})[0-9a-f]{32}")
# Sampled, and random: the others have no meaning yet, and are not passed on.
_KNOWN_FLAGS = 0b11
_LONGEST_STATE = 512


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace of 32 hexadecimal digits; `parent_id`, of 16, is who called, None for nobody.

    `flags` are two hexadecimal digits; `state` is what vendors added, passed on as it is.
    """

    trace_id: str
    parent_id: str | None = None
    flags: str = "00"
    state: str = ""

    def traceparent(self, span_id: str) -> str:
        """The header of a call that `span_id` makes."""
        return f"00-{self.trace_id}-{span_id}-{self.flags}"


def parse_traceparent(header: str, state: str = "") -> TraceContext | None:
    """None for what is no `traceparent`; a later version is read as far as it is the first."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or (match[1] == "00" and match[5]):
        return None
    flags = f"{int(match[4], 16) & _KNOWN_FLAGS:02x}"
    passed_on = state if len(state) <= _LONGEST_STATE and state.isprintable() else ""
    return TraceContext(match[2], match[3], flags, passed_on)


def is_trace_id(text: str) -> bool:
    """Whether `text` can name a trace: 32 lower-case hexadecimal digits, not all zero."""
    return _TRACE_ID.fullmatch(text) is not None
