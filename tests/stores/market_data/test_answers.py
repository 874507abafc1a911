"""Long answers are read by another process, which says the same as this one and ends in time."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

import orjson
import pytest
from tests.factories import START
from tests.patience import patience
from tests.upstream import iso

from mlengine.errors import UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.answers import Question, _turn, read_candles
from mlengine.stores.market_data.body import Body
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.shape import ServiceShape

QUESTION = Question(ServiceShape(), "AAA", "1m")
PADDING = b" " * 1_500_000


def rows(count: int) -> list[dict[str, Any]]:
    prices = {"open": 1.5, "high": "2.5", "low": 1, "close": None, "volume": 10**18}
    return [{"timestamp": iso(START + timedelta(minutes=n)), **prices} for n in range(count)]


@pytest.mark.parametrize("name", [None, *READY_SHAPES])
def test_a_question_goes_to_another_process_as_it_is(name: str | None) -> None:
    shape = READY_SHAPES[name] if name else ServiceShape()
    question = Question(shape, "Ä B", "1d")
    assert Question.from_json(question.to_json()) == question


def test_another_process_reads_what_this_one_reads() -> None:
    content = orjson.dumps({"symbol": "AAA", "candles": rows(20)})
    with Body(content) as short, Body(content + PADDING) as long:
        assert (short.is_long, long.is_long) == (False, True)
        here, there = (read_candles(body, QUESTION, NEVER) for body in (short, long))
    assert there[0].schema == here[0].schema
    assert there[0].equals(here[0])
    assert there[1] is here[1] is None


def test_what_a_long_answer_calls_the_next_page_is_known() -> None:
    row = {"t": iso(START), "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}
    content = orjson.dumps({"symbol": "AAA", "bars": [row], "next_page_token": "x=1"})
    with Body(content + PADDING) as body:
        candles, following = read_candles(
            body, Question(READY_SHAPES["alpaca"], "AAA", "1d"), NEVER
        )
    assert (candles.height, following) == (1, "x=1")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"candles": 5}', "no list of candles"),
        (b'{"symbol": "BBB", "candles": []}', "another symbol"),
        (b"[" * 1_000_000, "not JSON"),
    ],
)
def test_another_process_refuses_in_the_same_words(content: bytes, reason: str) -> None:
    with Body(content) as short, Body(content + PADDING) as long:
        reasons = []
        for body in (short, long):
            with pytest.raises(UpstreamInvalid, match=reason) as refused:
                read_candles(body, QUESTION, NEVER)
            reasons.append(refused.value.reason)
    assert reasons[0] == reasons[1]


def test_a_long_answer_is_given_up_at_the_deadline() -> None:
    with Body(orjson.dumps(rows(200_000))) as body:
        began = time.monotonic()
        with pytest.raises(UpstreamUnavailable, match="before the deadline"):
            read_candles(body, QUESTION, Deadline.after(0.05))
        assert time.monotonic() - began < patience(5.0)


def test_a_body_is_the_same_in_whatever_pieces_it_comes() -> None:
    content = bytes(range(256)) * 8_192
    with Body() as body:
        for at in range(0, len(content), 65_536):
            body.append(content[at : at + 65_536])
        assert (body.read(), body.size) == (content, len(content))
        assert body.beginning == content[:1_024]


def test_an_answer_waits_for_another_no_longer_than_its_deadline() -> None:
    late = pytest.raises(UpstreamUnavailable, match="before the deadline")
    with Body(orjson.dumps(rows(1))) as body:
        with _turn(NEVER), late:
            read_candles(body, QUESTION, Deadline.after(0.01))
        assert read_candles(body, QUESTION, NEVER)[0].height == 1


def test_a_long_answer_whose_reader_dies_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    content = orjson.dumps(rows(1)) + PADDING
    with Body(content) as body, pytest.raises(UpstreamInvalid, match="died of them") as refused:
        read_candles(body, QUESTION, NEVER)
    assert str(len(content)) in refused.value.reason
