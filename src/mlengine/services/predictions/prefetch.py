"""Feature rows of all symbols in use, filled in one pass once one of them has a new bar."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Sequence
from datetime import datetime

from mlengine.errors import MlengineError
from mlengine.services.bars.service import BarService
from mlengine.services.bars.windows import Timer, Window, WindowFetch, Windows
from mlengine.services.predictions.scoring import feature_rows
from mlengine.stores.features.row_cache import RowCache
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.registry.loader import ModelLoader

log = logging.getLogger(__name__)

_THREADS = 4
_SECONDS = 25.0
_EXIT_SECONDS = 2.0


class FeaturePrefetch:
    """Fetches what went out of date with a new bar, before somebody asks for it.

    One filling at a time and a process. Its threads are its own, so that no batch stands behind it
    in the crew's line, and daemons, so that no exit waits for an upstream; but an exit lets a pass
    over features end. Symbols that fail are left to their own next question.
    """

    def __init__(self, bars: BarService, loader: ModelLoader, rows: RowCache, timer: Timer) -> None:
        self._bars = bars
        self._loader = loader
        self._rows = rows
        self._timer = timer
        self._running = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def after(self, windows: Windows, *, as_of: datetime | None, now: datetime) -> None:
        """Take note of what a question brought, and begin if that was a new bar.

        Returns at once. Questions `as_of` a moment are none that will be asked again, and where
        no bars are kept there is nothing to fill.
        """
        if as_of is not None or self._bars.cache_seconds == 0:
            return
        for symbol in windows.full:
            self._bars.cache.use(symbol)
        if windows.news is not None and self._running.acquire(blocking=False):
            self._begin(windows.news, now)

    def settled(self, *, within_seconds: float) -> bool:
        """Wait for the filling that runs, if any; whether it ended in time."""
        thread = self._thread
        if thread is not None:
            thread.join(within_seconds)
        return thread is None or not thread.is_alive()

    def _begin(self, news: datetime, now: datetime) -> None:
        symbols = self._bars.cache.behind(news, now=now)
        if not symbols or self._ending.is_set():
            self._running.release()
            return
        thread = threading.Thread(
            target=self._run, args=(symbols, now), name="filling", daemon=True
        )
        if not _started(thread):
            self._running.release()
            return
        if self._thread is None:
            atexit.register(self._end)
        self._thread = thread

    def _run(self, symbols: Sequence[str], now: datetime) -> None:
        try:
            self._fill(symbols, now)
        finally:
            self._running.release()

    def _fill(self, symbols: Sequence[str], now: datetime) -> None:
        try:
            feature_set = self._loader.active().feature_set
        except MlengineError:
            return
        started = self._timer()
        deadline = Deadline.within(_SECONDS)
        asking = WindowFetch(
            self._bars, feature_set.window_bars, None, now, self._timer, deadline, tells_first=False
        )
        found = asking.at_once(symbols)
        if found is None:
            found = self._side_by_side(asking, symbols)
        full = {symbol: each for symbol, each in found.items() if isinstance(each, Window)}
        if full and not self._ending.is_set():
            feature_rows(feature_set, full, self._rows)
            took = round((self._timer() - started) * 1e3, 1)
            facts = {"asked": len(symbols), "filled": len(full), "ms": took}
            log.info("feature rows filled", extra=facts)

    def _side_by_side(
        self, asking: WindowFetch, symbols: Sequence[str]
    ) -> dict[str, Window | MlengineError]:
        """What a question has brought since the beginning is newer, and is not asked for again."""
        waiting, found = iter(symbols), dict[str, Window | MlengineError]()

        def work() -> None:
            for symbol in waiting:  # one iterator of all threads: each takes what is next
                if self._ending.is_set():
                    return
                if not self._bars.cache.asked_after(asking.now, symbol):
                    found[symbol] = asking.ask(symbol)

        threads = [
            threading.Thread(target=work, name="filling-bars", daemon=True) for _ in range(_THREADS)
        ]
        for thread in [each for each in threads if _started(each)]:
            thread.join()
        return found

    def _end(self) -> None:
        """A thread that comes back from Polars into an interpreter that is gone would crash it."""
        self._ending.set()
        self.settled(within_seconds=_EXIT_SECONDS)


def _started(thread: threading.Thread) -> bool:
    """False where the system gives no more threads: a filling is not worth an error."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
