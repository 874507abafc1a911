"""One question at a time about each symbol: who asks meanwhile gets the same answer."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mlengine.errors import MlengineError, UpstreamUnavailable
from mlengine.services.bars.upstream.bulkhead import UpstreamBulkhead
from mlengine.stores.market_data.deadline import Deadline

T = TypeVar("T")


@dataclass(frozen=True)
class _Flight(Generic[T]):
    ends_at: float
    result: Future[T] = field(default_factory=Future)


class Flights(Generic[T]):
    """Questions that are under way, by symbol; safe for threads."""

    def __init__(self, bulkhead: UpstreamBulkhead) -> None:
        self._bulkhead = bulkhead
        self._flights: dict[str, _Flight[T]] = {}
        self._lock = threading.Lock()

    def ask(
        self,
        symbol: str,
        question: Callable[[], T],
        *,
        deadline: Deadline,
        has_usual_deadline: bool,
    ) -> tuple[T, bool]:
        """The answer, or the error, of `question`, or of one about `symbol` that is under way.

        And whether it is another's.

        Nobody waits for another's beyond the own `deadline`: UpstreamUnavailable. The failure of a
        question without the usual deadline, with a sooner one, is its own.
        """
        while True:
            with self._lock:
                flight = self._flights.get(symbol)
                if flight is None:
                    own = self._flights[symbol] = _Flight[T](
                        float("inf") if has_usual_deadline else deadline.ends_at
                    )
            if flight is None:
                return self._run(symbol, own, question), False
            try:
                with self._bulkhead.required_slot(follows=True):
                    return flight.result.result(_seconds(deadline)), True
            except FutureTimeout:
                raise UpstreamUnavailable("no answer within the time of the request") from None
            except CancelledError:
                continue
            except UpstreamUnavailable:
                if flight.ends_at >= deadline.ends_at:
                    raise

    def _run(self, symbol: str, flight: _Flight[T], question: Callable[[], T]) -> T:
        try:
            result = question()
        except MlengineError as error:
            self._end(symbol)
            flight.result.set_exception(error)
            raise
        else:
            self._end(symbol)
            flight.result.set_result(result)
            return result
        finally:
            if not flight.result.done():  # a fault, of which whoever waits has to find out
                self._end(symbol)
                flight.result.cancel()

    def _end(self, symbol: str) -> None:
        with self._lock:
            del self._flights[symbol]


def _seconds(deadline: Deadline) -> float | None:
    left = deadline.left_seconds
    return None if left == float("inf") else max(0.0, left)
