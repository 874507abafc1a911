"""The newest bars of any number of symbols, fetched side by side and in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from mlengine.core.bars.bars import BarArrays
from mlengine.errors import InsufficientBars, MlengineError, UpstreamUnavailable
from mlengine.services.bars.served import LIVE, Origin, ServedWindow
from mlengine.services.bars.service import BarService
from mlengine.stores.market_data.deadline import NEVER, Deadline

Timer = Callable[[], float]


@dataclass(frozen=True)
class FetchedWindows:
    """The complete windows by symbol, the milliseconds that each took, and why others have none.

    `new_bar` is the start of the newest bar that a symbol has now and had not when its bars were
    fetched before; None where nothing is new, or with `as_of`. `origins` says where the bars of a
    symbol come from, where they are not live. `first_cached` had no bars in memory before.
    """

    complete: Mapping[str, BarArrays]
    milliseconds: Mapping[str, float]
    refused: Mapping[str, MlengineError]
    new_bar: datetime | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    first_cached: Collection[str] = ()


@dataclass(frozen=True)
class FetchPool:
    """The threads that fetch for a batch, and how long the whole batch may take.

    One for the whole process: a thread starts with the first work, keeps its connections for the
    next, and dies with the pool.
    """

    batch_seconds: float = 25.0
    threads: ThreadPoolExecutor = field(
        default_factory=partial(ThreadPoolExecutor, 8, "bars"), repr=False, compare=False
    )


class WindowSource(Protocol):
    """What brings the windows of bars of distinct symbols: see `fetch_windows`."""

    def __call__(
        self, fetch: WindowFetcher, symbols: Sequence[str], pool: FetchPool, *, wait: bool = True
    ) -> FetchedWindows | None: ...


def fetch_windows(
    fetch: WindowFetcher, symbols: Sequence[str], pool: FetchPool, *, wait: bool = True
) -> FetchedWindows | None:
    """The newest bars of each of distinct symbols; each refusal stands beside its symbol.

    What is in memory is taken from there; without `wait`, None where that is not all. A single
    symbol's refusal for want of bars names the first possible moment. Several symbols are fetched
    at once where the upstream answers for many, else side by side. These share one deadline; what
    is not begun by then is `upstream_unavailable`, and so is the rest once the upstream can't be
    reached. No request outlives the answer.
    """
    alone = len(symbols) == 1
    if wait:
        fetch.bars.notice_recordings()
        fetch.deadline = NEVER if alone else Deadline.after(pool.batch_seconds)
    windows = fetch.cached(symbols)
    missing = [symbol for symbol in symbols if symbol not in windows]
    if not missing:
        return FetchedWindows(windows, fetch.milliseconds, {}, origins=fetch.origins)
    if not wait:
        return None
    before = {symbol: fetch.bars.cache.last_bar(symbol) for symbol in missing}
    results: Mapping[str, BarArrays | MlengineError]
    if alone:
        results = {symbols[0]: _with_first_possible(fetch, fetch.fetch(symbols[0]))}
    else:
        in_one_pass = fetch.fetch_many(missing)
        rest = [symbol for symbol in missing if symbol not in in_one_pass]
        results = {**in_one_pass, **_side_by_side(fetch, rest, pool)}
    windows |= {symbol: each for symbol, each in results.items() if isinstance(each, BarArrays)}
    refused = {symbol: each for symbol, each in results.items() if isinstance(each, MlengineError)}
    new_bar = _new_bar(before, windows) if fetch.as_of is None else None
    first = [symbol for symbol, bar in before.items() if bar is None and symbol in windows]
    return FetchedWindows(windows, fetch.milliseconds, refused, new_bar, fetch.origins, first)


def _with_first_possible(
    fetch: WindowFetcher, result: BarArrays | MlengineError
) -> BarArrays | MlengineError:
    """`result`; a refusal for want of bars costs a fetch of the whole history."""
    if not isinstance(result, InsufficientBars):
        return result
    first = fetch.bars.nth_bar_known_at(result.symbol, bar=fetch.count, now=fetch.now)
    return replace(result, first_possible=first)


def _side_by_side(
    fetch: WindowFetcher, symbols: Sequence[str], pool: FetchPool
) -> dict[str, BarArrays | MlengineError]:
    """By symbol; the log lines of each fetch know whose request it is."""
    with fetch.bars.bulkhead.try_slot() as may_wait:
        if not may_wait:
            return {symbol: fetch.fetch(symbol) for symbol in symbols}
        futures = [
            pool.threads.submit(copy_context().run, fetch.fetch, symbol) for symbol in symbols
        ]
        try:
            return {s: future.result() for s, future in zip(symbols, futures, strict=True)}
        finally:
            for future in futures:
                future.cancel()


def _new_bar(
    before: Mapping[str, datetime | None], complete: Mapping[str, BarArrays]
) -> datetime | None:
    new = [
        newest
        for symbol, last in before.items()
        if last is not None
        and symbol in complete
        and last < (newest := complete[symbol].last_timestamp)
    ]
    return max(new, default=None)


@dataclass(slots=True)
class WindowFetcher:
    """One batch: what is the same for each of its symbols, and the end of them all."""

    bars: BarService
    count: int
    as_of: datetime | None
    now: datetime
    timer: Timer
    deadline: Deadline = NEVER
    down: UpstreamUnavailable | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def cached(self, symbols: Sequence[str]) -> dict[str, BarArrays]:
        """The windows of those of the `symbols` for which the upstream need not be asked."""
        started = self.timer()
        served = self.bars.cached_windows(symbols, bars=self.count, as_of=self.as_of, now=self.now)
        self.milliseconds |= dict.fromkeys(symbols, (self.timer() - started) * 1e3)
        return {symbol: self._window(symbol, each) for symbol, each in served.items()}

    def fetch_many(self, symbols: Sequence[str]) -> dict[str, BarArrays | MlengineError]:
        """The windows of those of the `symbols` that one pass brings, or why they have none."""
        started = self.timer()
        served = self.bars.windows_in_one_pass(
            symbols, bars=self.count, as_of=self.as_of, now=self.now
        )
        took = (self.timer() - started) * 1e3
        self.milliseconds |= dict.fromkeys(symbols, took)
        return {
            symbol: each if isinstance(each, MlengineError) else self._window(symbol, each)
            for symbol, each in served.items()
        }

    def fetch(self, symbol: str) -> BarArrays | MlengineError:
        """The window of `symbol`, or why it has none."""
        if self.down:
            return self.fetch_many([symbol]).get(symbol, self.down)
        if self.deadline.left_seconds <= 0:
            return UpstreamUnavailable("the time of the batch was over before it was asked")
        started = self.timer()
        try:
            served = self.bars.window(
                symbol, bars=self.count, as_of=self.as_of, now=self.now, deadline=self.deadline
            )
        except UpstreamUnavailable as error:
            self.down = error
            return error
        except MlengineError as error:
            return error
        finally:
            self.milliseconds[symbol] = (self.timer() - started) * 1e3
        return self._window(symbol, served)

    def _window(self, symbol: str, served: ServedWindow) -> BarArrays:
        if served.origin is not LIVE:
            self.origins[symbol] = served.origin
        return served.bars
