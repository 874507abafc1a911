"""Who is answered next by a thread: predictions wait for no queue of other questions."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, BoundedSemaphore, Lock
from typing import Generic, TypeVar

from mlengine.services.bars.upstream import bulkhead

Result = TypeVar("Result")


class RequestQueue(Generic[Result]):
    """The requests that wait for a thread of `executor`; predictions and others take turns.

    At most so many are worked on at once, not counting those that wait for the upstream.
    """

    def __init__(self, executor: Executor, *, most_at_once: int) -> None:
        self._executor = executor
        self._places = BoundedSemaphore(most_at_once)
        self._turn = Lock()
        self._predictions: deque[Callable[[], Result]] = deque()
        self._others: deque[Callable[[], Result]] = deque()
        self._prediction_is_next = True

    def submit(self, answer: Callable[[], Result], *, is_prediction: bool) -> "Future[Result]":
        """Have `answer` called; the future is that of whichever is called in its stead."""
        (self._predictions if is_prediction else self._others).append(answer)
        return self._executor.submit(self._answer_next)

    def _answer_next(self) -> Result:
        with ExitStack() as place:
            with self._turn:
                place.enter_context(bulkhead.execution_slot(self._places))
                answer = self._next()
            return answer()

    def _next(self) -> Callable[[], Result]:
        queues = [self._others, self._predictions]
        queue = queues[self._prediction_is_next] or queues[not self._prediction_is_next]
        self._prediction_is_next = not self._prediction_is_next
        return queue.popleft()


def running_threads(count: int, *, name: str) -> ThreadPoolExecutor:
    """An executor of so many threads, all of which have started.

    It would start one for each of its first tasks otherwise, and whoever gives the task waits until
    the thread runs: for long where others compute.
    """
    executor = ThreadPoolExecutor(count, thread_name_prefix=name)
    all_run = Barrier(count + 1)
    for _ in range(count):
        executor.submit(all_run.wait)
    all_run.wait()
    return executor
