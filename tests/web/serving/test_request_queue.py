"""Predictions and other questions take turns, few at once, and all threads run beforehand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from mlengine.services.bars.upstream.bulkhead import UpstreamBulkhead
from mlengine.web.serving.request_queue import RequestQueue, running_threads


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with running_threads(8, name="request") as executor:
        yield executor


def assert_comes(event: threading.Event) -> None:
    assert event.wait(30)


def test_all_threads_run_before_the_first_request(threads: ThreadPoolExecutor) -> None:
    names = [each.name for each in threading.enumerate() if each.name.startswith("request")]
    assert len(names) == 8


def test_a_prediction_waits_for_one_other_question_at_most(threads: ThreadPoolExecutor) -> None:
    queue: RequestQueue[None] = RequestQueue(threads, most_at_once=1)
    may_go_on, order = threading.Event(), list[str]()
    first = queue.submit(lambda: assert_comes(may_go_on), is_prediction=False)
    others = [queue.submit(lambda: order.append("other"), is_prediction=False) for _ in range(20)]
    last = queue.submit(lambda: order.append("prediction"), is_prediction=True)
    may_go_on.set()
    wait([first, *others, last])
    assert len(order) == 21
    assert "prediction" in order[:2]


def test_so_many_are_worked_on_at_once(threads: ThreadPoolExecutor) -> None:
    queue: RequestQueue[None] = RequestQueue(threads, most_at_once=2)
    lock, at_work, seen = threading.Lock(), 0, list[int]()

    def work() -> None:
        nonlocal at_work
        with lock:
            at_work += 1
            seen.append(at_work)
        threading.Event().wait(0.005)
        with lock:
            at_work -= 1

    wait([queue.submit(work, is_prediction=number % 3 == 0) for number in range(30)])
    assert len(seen) == 30
    assert max(seen) == 2


def test_who_waits_for_the_upstream_leaves_its_place(threads: ThreadPoolExecutor) -> None:
    queue: RequestQueue[bool] = RequestQueue(threads, most_at_once=1)
    others_done, waits = threading.Event(), UpstreamBulkhead()

    def ask_upstream() -> bool:
        with waits.required_slot():
            return others_done.wait(30)

    def work() -> bool:
        others_done.set()
        return True

    waiting = [queue.submit(ask_upstream, is_prediction=True) for _ in range(5)]
    assert queue.submit(work, is_prediction=False).result(30) in (True, False)
    wait(waiting)
    assert others_done.is_set()


def test_what_an_answer_raises_its_future_does(threads: ThreadPoolExecutor) -> None:
    queue: RequestQueue[None] = RequestQueue(threads, most_at_once=1)

    def fail() -> None:
        raise OSError("gone")

    failed = queue.submit(fail, is_prediction=True)
    with pytest.raises(OSError, match="gone"):
        failed.result(30)
    assert queue.submit(lambda: None, is_prediction=True).result(30) is None
