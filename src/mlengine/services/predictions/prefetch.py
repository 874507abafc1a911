"""What the next questions would wait for: rows of a new bar, and files that were not read yet."""

import atexit
import logging
import threading
from collections.abc import Sequence
from datetime import datetime

from mlengine.core.bars.bars import BarArrays
from mlengine.errors import MlengineError
from mlengine.services.bars.service import BarService
from mlengine.services.bars.windows import FetchedWindows, Timer, WindowFetcher
from mlengine.services.predictions.scoring import feature_vectors
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.registry.loader import ModelLoader

log = logging.getLogger(__name__)

_THREADS = 4
_SECONDS = 25.0
_EXIT_SECONDS = 2.0


class NewBarPrefetch:
    """Fetches what goes out of date with a new bar, before a request for it.

    Bars that another process has recorded are answered at once; the files that they come from are
    read behind the answer, so that what is appended to them later is all that is left to read.

    One prefetch at a time and a process. Its threads are its own, so that no batch queues behind
    it in the pool, and daemons, so that no exit waits for an upstream; but an exit lets a pass
    over features end. Symbols that fail are left to their own next request.
    """

    def __init__(
        self, bars: BarService, loader: ModelLoader, vector_cache: FeatureVectorCache, timer: Timer
    ) -> None:
        self._bars = bars
        self._loader = loader
        self._vector_cache = vector_cache
        self._timer = timer
        self._running = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._unread: set[str] = set()

    def start_if_due(
        self, windows: FetchedWindows, *, as_of: datetime | None, now: datetime
    ) -> None:
        """Note the symbols of a request, and begin if it brought a new bar, or bars of others.

        Returns at once. A request `as_of` a moment rarely comes again, and where no bars are
        cached there is nothing to prefetch.
        """
        if as_of is not None or self._bars.cache_seconds == 0:
            return
        self._bars.cache.mark_used(windows.complete)
        self._unread.update(windows.first_cached)
        is_due = windows.new_bar is not None or self._unread
        if is_due and self._running.acquire(blocking=False):
            self._begin(windows.new_bar, now)

    def wait_until_idle(self, *, within_seconds: float) -> bool:
        """Wait for the prefetch that runs, if any; False where it goes on."""
        thread = self._thread
        if thread is not None:
            thread.join(within_seconds)
        return thread is None or not thread.is_alive()

    def _begin(self, new_bar: datetime | None, now: datetime) -> None:
        symbols = self._bars.cache.symbols_to_refetch(new_bar, now=now) if new_bar else []
        thread = threading.Thread(
            target=self._run, args=(symbols, now), name="prefetch", daemon=True
        )
        is_due = symbols or self._unread
        if not is_due or self._ending.is_set() or not _started(thread):
            self._running.release()
            return
        if self._thread is None:
            atexit.register(self._end)
        self._thread = thread

    def _run(self, symbols: Sequence[str], now: datetime) -> None:
        try:
            if symbols:
                self._prefetch(symbols, now)
            self._read_ahead()
        finally:
            self._running.release()

    def _read_ahead(self) -> None:
        symbols = set[str]()
        while self._unread:
            symbols.add(self._unread.pop())
        if symbols and not self._ending.is_set():
            self._bars.source.read_ahead(symbols)

    def _prefetch(self, symbols: Sequence[str], now: datetime) -> None:
        try:
            feature_set = self._loader.active().feature_set
        except MlengineError:
            return
        started = self._timer()
        fetch = WindowFetcher(
            self._bars, feature_set.window_bars, None, now, self._timer, Deadline.after(_SECONDS)
        )
        in_one_pass = fetch.fetch_many(symbols)
        rest = [symbol for symbol in symbols if symbol not in in_one_pass]
        results = in_one_pass | self._side_by_side(fetch, rest)
        complete = {symbol: each for symbol, each in results.items() if isinstance(each, BarArrays)}
        if complete and not self._ending.is_set():
            feature_vectors(feature_set, complete, self._vector_cache)
            took = round((self._timer() - started) * 1e3, 1)
            facts = {"asked": len(symbols), "filled": len(complete), "ms": took}
            log.info("feature rows filled", extra=facts)

    def _side_by_side(
        self, fetch: WindowFetcher, symbols: Sequence[str]
    ) -> dict[str, BarArrays | MlengineError]:
        """By symbol; what a request has fetched since the beginning is newer, and is left out."""
        pending, results = iter(symbols), dict[str, BarArrays | MlengineError]()

        def work() -> None:
            for symbol in pending:  # one iterator of all threads: each takes what is next
                if self._ending.is_set():
                    return
                if not self._bars.cache.fetched_after(fetch.now, symbol):
                    results[symbol] = fetch.fetch(symbol)

        threads = [
            threading.Thread(target=work, name="prefetch-bars", daemon=True)
            for _ in range(_THREADS)
        ]
        for thread in [each for each in threads if _started(each)]:
            thread.join()
        return results

    def _end(self) -> None:
        """A thread that comes back from Polars into an interpreter that is gone would crash it."""
        self._ending.set()
        self.wait_until_idle(within_seconds=_EXIT_SECONDS)


def _started(thread: threading.Thread) -> bool:
    """False where the system gives no more threads: a prefetch is not worth an error."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
