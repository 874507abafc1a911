from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from tests.hook_receiver import HookReceiver, Reply
from tests.patience import patience

from mlengine.stores.hooks.delivery_store import Answer
from mlengine.stores.hooks.sender import HookSender

SENDER = HookSender(allow_private=True)


def _post(receiver: HookReceiver, sender: HookSender = SENDER) -> Answer:
    return sender.post(receiver.url, b'{"a":1}', {"webhook-id": "msg_1", "User-Agent": "test"})


def test_the_body_goes_out_as_it_is_to_the_path_with_its_query():
    with HookReceiver(Reply(204)) as receiver:
        assert _post(receiver) == Answer(204)
    (received,) = receiver.received
    assert (received.path, received.body) == ("/hook?a=1", b'{"a":1}')
    assert received.headers["webhook-id"] == "msg_1"
    assert received.headers["host"] == receiver.url.split("/")[2]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_is_no_success(status):
    with HookReceiver() as other, HookReceiver() as receiver:
        receiver.always = Reply(status, headers={"Location": other.url})
        answer = _post(receiver)
    assert (answer.status, answer.is_success, other.received) == (status, False, [])
    assert "redirects" in answer.reason


@pytest.mark.parametrize(
    ("status", "is_success", "is_gone"),
    [(200, True, False), (299, True, False), (410, False, True), (500, False, False)],
)
def test_the_status_decides(status, is_success, is_gone):
    with HookReceiver(Reply(status)) as receiver:
        answer = _post(receiver)
    assert (answer.is_success, answer.is_gone) == (is_success, is_gone)


@pytest.mark.parametrize("slow", [Reply(delay_seconds=1.0), Reply(drip_seconds=0.05)])
def test_one_that_takes_too_long_is_left_however_it_does_it(slow):
    begun = time.monotonic()
    with HookReceiver(slow) as receiver:
        answer = _post(receiver, HookSender(allow_private=True, timeout_seconds=0.2))
    assert answer == Answer(None, "no whole answer in time")
    assert time.monotonic() - begun < patience(0.9)


def test_a_long_answer_is_read_a_little():
    with HookReceiver(Reply(200, body=b"x" * 5_000_000)) as receiver:
        assert _post(receiver).is_success


def test_one_that_is_down_is_a_failure_with_a_reason():
    with HookReceiver() as receiver:
        url = receiver.url
    assert SENDER.post(url, b"{}", {}) == Answer(None, "the connection was refused")


def test_a_private_address_is_not_called():
    with HookReceiver() as receiver:
        secure = receiver.url.replace("http://", "https://").replace("127.0.0.1", "localhost")
        answer = HookSender(allow_private=False).post(secure, b"{}", {})
    assert answer.status is None
    assert "HOOKS_ALLOW_PRIVATE" in answer.reason
    assert receiver.received == []


def test_what_speaks_no_tls_is_a_failure():
    with HookReceiver() as receiver:
        answer = SENDER.post(receiver.url.replace("http://", "https://"), b"{}", {})
    assert answer == Answer(None, "TLS failed")
    assert receiver.received == []


def test_a_name_that_nobody_knows_is_a_failure():
    answer = SENDER.post("https://nobody.invalid/", b"{}", {})
    assert answer.status is None


def test_one_that_takes_no_connection_is_left_in_time():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(3):  # more than it keeps waiting
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(server.getsockname())
        sender = HookSender(allow_private=True, timeout_seconds=0.1)
        answer = sender.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
    assert answer == Answer(None, "no whole answer in time")


def test_an_answer_that_is_no_http_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        def answer_nonsense():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"nonsense\r\n\r\n")

        thread = threading.Thread(target=answer_nonsense)
        thread.start()
        answer = SENDER.post(url, b"", {})
        thread.join()
    assert answer == Answer(None, "its answer is no HTTP")
