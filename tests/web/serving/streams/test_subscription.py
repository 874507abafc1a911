from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.patience import eventually

from mlengine.core.monitoring.messages import Message
from mlengine.errors import DatabaseUnavailable
from mlengine.web.serving.response_buffer import LAST_CHUNK, ResponseBuffer
from mlengine.web.serving.streams.feed import MessageFeed
from mlengine.web.serving.streams.subscription import Subscription, attach, chunk_of, event_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _messages(*seqs: int) -> list[Message]:
    return [Message(seq, "model.trained", NOW, f'{{"n":{seq}}}') for seq in seqs]


def test_a_message_is_taken_once_in_its_order() -> None:
    subscription = Subscription((), 2)
    assert subscription.take(_messages(1, 2, 3, 4)) == b"".join(map(event_of, _messages(3, 4)))
    assert subscription.take(_messages(3, 4)) == b""
    assert subscription.seq == 4


def test_what_is_not_asked_for_is_passed_over() -> None:
    subscription = Subscription(("bars.*",), 0)
    assert (subscription.take(_messages(1, 2)), subscription.seq) == (b"", 2)


def test_a_chunk_says_its_length() -> None:
    assert chunk_of(b"a" * 26) == b"1A\r\n" + b"a" * 26 + b"\r\n"


def test_only_an_answer_of_unknown_length_is_left_open() -> None:
    subscription = Subscription((), 0)
    environ = {"SERVER_PROTOCOL": "HTTP/1.1"}
    for last, taken in ((LAST_CHUNK, subscription), (b"all of it", None)):
        response = ResponseBuffer()
        assert attach({**environ, "gunicorn.socket": response}, subscription)
        response.send(b"head")
        response.send(last)
        assert response.take_subscription() is taken
    assert not attach(environ, subscription)
    old = {"gunicorn.socket": ResponseBuffer(), "SERVER_PROTOCOL": "HTTP/1.0"}
    assert not attach(old, subscription)


class Outbox:
    """Fails at first."""

    def __init__(self) -> None:
        self.asked = 0

    def after(self, seq: int, *, limit: int) -> list[Message]:
        self.asked += 1
        if self.asked == 1:
            raise DatabaseUnavailable("it does not answer")
        return _messages(*range(seq + 1, min(seq + limit, 450) + 1))


def test_a_feed_reads_on_at_once_while_there_is_more_and_outlives_its_database() -> None:
    got: list[int] = []
    done = threading.Event()

    def deliver(_cursor: int, messages: Sequence[Message]) -> None:
        got.extend(each.seq for each in messages)
        feed.follow(got[-1] if got else 0, wanted=len(got) < 450)
        feed.delivered()
        if len(got) == 450:
            done.set()

    feed = MessageFeed(Outbox(), deliver)  # type: ignore[arg-type]
    feed.follow(0, wanted=True)
    assert done.wait(30)
    assert got == [*range(1, 451)]
    assert eventually(lambda: feed.cursor == 450)
