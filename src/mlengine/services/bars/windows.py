"""The newest bars of any number of symbols, asked for side by side and in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime

from mlengine.core.bars.bars import Columns
from mlengine.core.bars.window import BarWindow
from mlengine.errors import InsufficientBars, MlengineError, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.stores.market_data.deadline import NEVER, Deadline

Timer = Callable[[], float]

_THREADS = 8


@dataclass(frozen=True)
class Window:
    """The newest bars of a symbol, and the milliseconds that fetching them took."""

    known: BarWindow
    milliseconds: float

    @property
    def bars(self) -> Columns:
        return self.known.bars

    @property
    def bar_timestamp(self) -> datetime:
        return self.known.bar_timestamp

    @property
    def bars_hash(self) -> str:
        return self.known.bars_hash


@dataclass(frozen=True)
class Windows:
    """What was asked for: full windows by symbol, and why the others have none.

    `news` is the start of the newest bar that a symbol has now and had not when its bars were
    fetched before; None where nothing is new, or `as_of` was asked for.
    """

    full: Mapping[str, Window]
    refused: Mapping[str, MlengineError]
    news: datetime | None = None


def _new_threads() -> ThreadPoolExecutor:
    """Starts no thread before there is work, and keeps each with its connections for the next."""
    return ThreadPoolExecutor(_THREADS, "bars")


@dataclass(frozen=True)
class FetchPool:
    """The threads that ask for a batch, and how long the whole batch may take.

    One for the whole process: a thread keeps its connections, and dies with the crew.
    """

    batch_seconds: float = 25.0
    threads: ThreadPoolExecutor = field(default_factory=_new_threads, repr=False, compare=False)


def fetch_windows(
    bars: BarService,
    symbols: Sequence[str],
    *,
    count: int,
    as_of: datetime | None,
    now: datetime,
    timer: Timer,
    crew: FetchPool,
) -> Windows:
    """The newest `count` bars of each distinct symbol; each refusal stands beside its symbol.

    A single symbol's refusal for want of bars names the first possible moment. Several symbols are
    asked for at once where the upstream has them at hand, else side by side. These share one
    deadline; what was not asked for by then is `upstream_unavailable`, and so is the rest once the
    upstream could not be reached. No question outlives the answer.
    """
    alone = len(symbols) == 1
    deadline = NEVER if alone else Deadline.within(crew.batch_seconds)
    asking = WindowFetch(bars, count, as_of, now, timer, deadline, tells_first=alone)
    if alone:
        before = {symbols[0]: bars.cache.last_bar(symbols[0])}
        outcomes = {symbols[0]: asking.ask(symbols[0])}
    else:
        kept = {symbol: asking.kept(symbol) for symbol in symbols}
        missing = [symbol for symbol, window in kept.items() if window is None]
        before = {symbol: bars.cache.last_bar(symbol) for symbol in missing}
        asked = _asked(asking, missing, crew) if missing else {}
        outcomes = {symbol: window or asked[symbol] for symbol, window in kept.items()}
    full = {symbol: each for symbol, each in outcomes.items() if isinstance(each, Window)}
    return Windows(
        full,
        refused={
            symbol: each for symbol, each in outcomes.items() if isinstance(each, MlengineError)
        },
        news=_news(before, full) if as_of is None else None,
    )


def _news(before: Mapping[str, datetime | None], full: Mapping[str, Window]) -> datetime | None:
    new = [
        full[symbol].bar_timestamp
        for symbol, last in before.items()
        if last is not None and symbol in full and last < full[symbol].bar_timestamp
    ]
    return max(new, default=None)


def _asked(
    asking: WindowFetch, symbols: Sequence[str], crew: FetchPool
) -> dict[str, Window | MlengineError]:
    found = asking.at_once(symbols)
    return _side_by_side(asking, symbols, crew) if found is None else found


def _side_by_side(
    asking: WindowFetch, symbols: Sequence[str], crew: FetchPool
) -> dict[str, Window | MlengineError]:
    """By symbol; each question knows, for its log lines, whose request it is."""
    futures = [crew.threads.submit(copy_context().run, asking.ask, symbol) for symbol in symbols]
    try:
        return {s: future.result() for s, future in zip(symbols, futures, strict=True)}
    finally:
        for future in futures:
            future.cancel()


@dataclass
class WindowFetch:
    """One batch: what is the same for each of its questions, and the end of them all."""

    bars: BarService
    count: int
    as_of: datetime | None
    now: datetime
    timer: Timer
    deadline: Deadline
    # Whether a refusal names the first possible moment: that asks for the whole history.
    tells_first: bool
    down: UpstreamUnavailable | None = None

    def ask(self, symbol: str) -> Window | MlengineError:
        """The window of `symbol`, or why it has none."""
        if self.down:
            return self.down
        if self.deadline.left_seconds <= 0:
            return UpstreamUnavailable("the time of the batch was over before it was asked")
        try:
            return self._window(symbol)
        except UpstreamUnavailable as error:
            self.down = error
            return error
        except InsufficientBars as refusal:
            return self._too_few(refusal)
        except MlengineError as error:
            return error

    def at_once(self, symbols: Sequence[str]) -> dict[str, Window | MlengineError] | None:
        """The windows of `symbols` where the upstream has all of them at hand, else None."""
        started = self.timer()
        found = self.bars.windows(symbols, bars=self.count, as_of=self.as_of, now=self.now)
        if found is None:
            return None
        took = (self.timer() - started) * 1e3
        return {
            symbol: Window(each, took) if isinstance(each, BarWindow) else each
            for symbol, each in found.items()
        }

    def kept(self, symbol: str) -> Window | None:
        """The window of `symbol` when it is at hand."""
        started = self.timer()
        known = self.bars.kept_window(symbol, bars=self.count, as_of=self.as_of, now=self.now)
        return Window(known, (self.timer() - started) * 1e3) if known else None

    def _window(self, symbol: str) -> Window:
        started = self.timer()
        known = self.bars.window(
            symbol, bars=self.count, as_of=self.as_of, now=self.now, deadline=self.deadline
        )
        return Window(known, (self.timer() - started) * 1e3)

    def _too_few(self, refusal: InsufficientBars) -> InsufficientBars:
        """With the first possible moment, where one symbol alone was asked for."""
        if not self.tells_first:
            return refusal
        first = self.bars.final_moment(refusal.symbol, bar=self.count, now=self.now)
        return replace(refusal, first_possible=first)
