from __future__ import annotations

import pytest

from mlengine.core.trace_context import TraceContext, is_trace_id, parse_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"00-{TRACE}-{PARENT}-01", "01"),
        (f"00-{TRACE}-{PARENT}-00", "00"),
        (f"00-{TRACE}-{PARENT}-03", "03"),
        (f"00-{TRACE}-{PARENT}-ff", "03"),  # those without a meaning are not passed on
        (f"cc-{TRACE}-{PARENT}-01", "01"),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", "01"),
    ],
)
def test_a_valid_header_is_taken(header: str, flags: str) -> None:
    trace = parse_traceparent(header, "vendor=1")
    assert trace == TraceContext(TRACE, PARENT, flags, "vendor=1")
    assert trace.traceparent("1" * 16) == f"00-{TRACE}-{'1' * 16}-{flags}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"cc-{TRACE}-{PARENT}-01.what",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0x",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE[:-1]}٣-{PARENT}-01",
    ],
)
def test_anything_else_is_none(header: str) -> None:
    assert parse_traceparent(header) is None


@pytest.mark.parametrize("state", ["x" * 513, "a=b\nc", "a=\x00"])
def test_a_state_that_can_not_be_passed_on_is_left_out(state: str) -> None:
    trace = parse_traceparent(f"00-{TRACE}-{PARENT}-01", state)
    assert trace == TraceContext(TRACE, PARENT, "01")


def test_an_id_of_a_request_may_name_a_trace() -> None:
    assert is_trace_id(TRACE)
    assert not any(map(is_trace_id, ["", "r-1", "0" * 32, TRACE.upper(), TRACE + "0"]))
