"""What is missing of bars that are recorded: the tail, or all of them where one was revised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.recorded_panel import agreements
from mlengine.core.timestamps import EPOCH
from mlengine.errors import MlengineError, UpstreamInvalid
from mlengine.services.bars.upstream.fetcher import BarFetcher
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.bars.stored import UpstreamBars
from mlengine.stores.market_data.deadline import Deadline

# So many bars that are recorded are asked for again: a difference is a revision.
_OVERLAP_BARS = 5
# Bars of days and weeks have the date of their session, and may begin half a day away from it.
_FROM_SESSION_DATE = timedelta(days=1)
# A longer tail, and a longer history to read again, are not worth the time of a request.
_MOST_BARS = 25_000


@dataclass(frozen=True)
class IncrementalFetcher:
    """Asks the upstream for no more than is missing of what is held."""

    fetcher: BarFetcher

    def ask(
        self, symbol: str, held: CachedBars | None, *, bars: int, now: datetime, deadline: Deadline
    ) -> CachedBars:
        """The tail of what is `held`, all of that where the tail differs, or what else there is."""
        start = self.tail_starts({symbol: held}, now).get(symbol) if held else None
        if held is not None and start is not None:
            try:
                tail = self.fetcher.fetch(
                    symbol, bars=bars, as_of=None, now=now, deadline=deadline, start=start
                )
            except UpstreamInvalid:
                tail = None
            if tail and _continuing({symbol: held}, {symbol: tail}):
                return tail
            start = self.history_start(held, now)
        return self.fetcher.fetch(
            symbol, bars=bars, as_of=None, now=now, deadline=deadline, start=start
        )

    def ask_many(
        self, symbols: Sequence[str], held: Mapping[str, CachedBars], bars: int, now: datetime
    ) -> dict[str, CachedBars | MlengineError]:
        """As `ask` of all of them at once; nothing where each is a question of its own."""
        usual = now - 2 * max(bars, _OVERLAP_BARS) * INTERVALS[self.fetcher.interval]
        starts = self.tail_starts({s: held[s] for s in symbols if s in held}, now)
        starts = {symbol: start for symbol, start in starts.items() if start >= usual}
        results = self._ask_from(starts, bars, now) if starts else {}
        if results is None:
            return {}
        tails = {s: each for s, each in results.items() if isinstance(each, CachedBars)}
        continuing = _continuing(held, tails)
        again: dict[str, datetime] = {}
        for symbol, tail in list(results.items()):
            if symbol not in continuing and isinstance(tail, CachedBars | UpstreamInvalid):
                again[symbol] = self.history_start(held[symbol], now)
                del results[symbol]
        results |= (self._ask_from(again, bars, now) or {}) if again else {}
        rest = [symbol for symbol in symbols if symbol not in results]
        fetched = self.fetcher.fetch_many(rest, bars=bars, as_of=None, now=now) if rest else {}
        return results | (fetched or {})

    def _ask_from(
        self, starts: Mapping[str, datetime], bars: int, now: datetime
    ) -> dict[str, CachedBars | MlengineError] | None:
        """The bars of each symbol from its start on, from one question for all of them."""
        return self.fetcher.fetch_many(list(starts), bars=bars, as_of=None, now=now, starts=starts)

    def answers(
        self, fetched: Mapping[str, CachedBars], held: Mapping[str, CachedBars], now: datetime
    ) -> dict[str, UpstreamBars]:
        """What was fetched, beside what was held of it, to record; not where there is nothing."""
        tail_starts = self.tail_starts({s: held[s] for s in fetched if s in held}, now)
        answers: dict[str, UpstreamBars] = {}
        for symbol, each in fetched.items():
            before, start = held.get(symbol), each.asked_from
            if before is None and not each.arrays.rows:
                continue
            answers[symbol] = UpstreamBars(
                each.clean.arrays,
                start,
                each.expires_at,
                each.clean.report,
                before.stored if before else None,
                is_tail_refetch=start == tail_starts.get(symbol),
                is_full_refetch=before is not None and start == self.history_start(before, now),
            )
        return answers

    def tail_starts(self, held: Mapping[str, CachedBars], now: datetime) -> dict[str, datetime]:
        """From where on each symbol is asked for whose bars are recorded; all of it where not."""
        daily = INTERVALS[self.fetcher.interval] >= INTERVALS["1d"]
        earliest = now - self._longest
        starts: dict[str, datetime] = {}
        of_bar: dict[int, datetime] = {}
        for symbol, each in held.items():
            moments = each.clean.arrays.starts
            if not len(moments):
                continue
            first = int(moments[-min(_OVERLAP_BARS, len(moments))])
            start = of_bar.get(first)
            if start is None:
                start = EPOCH + timedelta(microseconds=first)
                start = max(start - _FROM_SESSION_DATE if daily else start, EPOCH)
                of_bar[first] = start
            if start >= earliest:
                starts[symbol] = start
        return starts

    def history_start(self, held: CachedBars, now: datetime) -> datetime:
        """From where on a symbol is asked for of which a bar was revised."""
        asked_from = held.stored.series.asked_from if held.stored else held.asked_from
        return max(asked_from, now - self._longest)

    @property
    def _longest(self) -> timedelta:
        return _MOST_BARS * INTERVALS[self.fetcher.interval]


def start_of(bars: BarArrays) -> datetime:
    """When the first of some bars begins."""
    return EPOCH + timedelta(microseconds=int(bars.starts[0]))


def _continuing(held: Mapping[str, CachedBars], tails: Mapping[str, CachedBars]) -> set[str]:
    """The symbols of which both have bars that are the same, and the tail has no others of then."""
    pairs = {
        symbol: (each.stored.held, tail.arrays)
        for symbol, tail in tails.items()
        if (each := held[symbol]).stored is not None
        and tail.arrays.rows
        and tail.arrays.starts[0] <= each.arrays.starts[-1]
    }
    known, answers = [each for each, _ in pairs.values()], [tail for _, tail in pairs.values()]
    agreed = agreements(known, answers)
    return {symbol for symbol, count in zip(pairs, agreed, strict=True) if count is not None}
