"""What is missing of bars that are recorded: the tail, or all of them where one was revised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.jumps import is_another_series
from mlengine.core.bars.recorded_panel import agreements
from mlengine.core.timestamps import EPOCH, microseconds
from mlengine.errors import MlengineError, UpstreamInvalid
from mlengine.services.bars.upstream.fetcher import BarFetcher
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.bars.stored import UpstreamBars
from mlengine.stores.market_data.deadline import Deadline

# So many bars that are recorded are asked for again, and as many as are wanted where that is no
# great work: a difference is a revision.
_OVERLAP_BARS, _LONGEST_OVERLAP, _MOST_OVERLAPPING = 5, 250, 4_000
# Bars of days and weeks have the date of their session, and may begin half a day away from it.
_FROM_SESSION_DATE = timedelta(days=1)
# Of bars that were revised since, nobody knows which are the right ones.
_SETTLED_AFTER = timedelta(days=1)
# A longer tail, and a longer history to read again, are not worth the time of a request.
_MOST_BARS = 25_000


@dataclass(frozen=True)
class IncrementalFetcher:
    """Asks the upstream for no more than is missing of what is held."""

    fetcher: BarFetcher

    def ask(
        self,
        symbol: str,
        held: CachedBars | None,
        *,
        bars: int,
        now: datetime,
        deadline: Deadline,
        recorded: CachedBars | None = None,
        is_doubted: bool = False,
    ) -> CachedBars:
        """The tail of what is `held`, all of that where the tail differs, or what else there is.

        Raises what `BarFetcher.fetch` raises; UpstreamInvalid also where all that there is has no
        bars of a time of which some are `recorded`, and where what `is_doubted` is of another
        series than these, or an older copy of them.
        """
        overlap = _overlap(bars, symbols=1)
        start = self.tail_starts({symbol: held}, overlap, now).get(symbol) if held else None
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
        fetched = self.fetcher.fetch(
            symbol, bars=bars, as_of=None, now=now, deadline=deadline, start=start
        )
        doubt = None if held or recorded is None else _lacks_all(fetched, recorded)
        if recorded and is_doubted:
            doubt = doubt or _is_another(fetched, recorded, now) or _is_older(fetched, recorded)
        if doubt:
            raise self.fetcher.refused(symbol, f"{symbol}: {doubt}")
        return fetched

    def ask_many(
        self, symbols: Sequence[str], held: Mapping[str, CachedBars], bars: int, now: datetime
    ) -> dict[str, CachedBars | MlengineError]:
        """As `ask` of all of them at once; nothing where each is a question of its own."""
        usual = now - 2 * max(bars, _OVERLAP_BARS) * INTERVALS[self.fetcher.interval]
        of_held = {symbol: held[symbol] for symbol in symbols if symbol in held}
        starts = self.tail_starts(of_held, _overlap(bars, symbols=len(of_held)), now)
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
        self,
        fetched: Mapping[str, CachedBars],
        held: Mapping[str, CachedBars],
        bars: int,
        now: datetime,
    ) -> dict[str, UpstreamBars]:
        """What was fetched, beside what was held of it, to record; not where there is nothing."""
        of_held = {symbol: held[symbol] for symbol in fetched if symbol in held}
        overlaps = {_OVERLAP_BARS, _overlap(bars, symbols=1)}
        tail_starts = [self.tail_starts(of_held, overlap, now) for overlap in overlaps]
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
                is_tail_refetch=start in [starts.get(symbol) for starts in tail_starts],
                is_full_refetch=before is not None and start <= self.history_start(before, now),
            )
        return answers

    def tail_starts(
        self, held: Mapping[str, CachedBars], overlap: int, now: datetime
    ) -> dict[str, datetime]:
        """From where on each symbol is asked for whose bars are recorded; all of it where not.

        So that `overlap` bars come again.
        """
        daily = INTERVALS[self.fetcher.interval] >= INTERVALS["1d"]
        earliest = now - self._longest
        starts: dict[str, datetime] = {}
        of_bar: dict[int, datetime] = {}
        for symbol, each in held.items():
            moments = each.clean.arrays.starts
            if not len(moments):
                continue
            first = int(moments[-min(overlap, len(moments))])
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


def _overlap(bars: int, *, symbols: int) -> int:
    """How many bars come again of each of so many symbols, of which `bars` are wanted."""
    if bars * symbols > _MOST_OVERLAPPING:
        return _OVERLAP_BARS
    return min(max(bars, _OVERLAP_BARS), _LONGEST_OVERLAP)


def start_of(bars: BarArrays) -> datetime:
    """When the first of some bars begins."""
    return EPOCH + timedelta(microseconds=int(bars.starts[0]))


def _lacks_all(fetched: CachedBars, recorded: CachedBars) -> str | None:
    """Why an answer without bars can't be all that there is."""
    ours, report = recorded.arrays, fetched.clean.report
    if fetched.arrays.rows or report.dropped or not ours.rows:
        return None
    if ours.last_timestamp < fetched.asked_from:
        return None
    return f"it has no candles of a time of which {ours.rows} bars were recorded"


def _is_another(fetched: CachedBars, recorded: CachedBars, now: datetime) -> str | None:
    """Why an answer is not of the series that is recorded; of one that has just changed, none."""
    changed_at = recorded.stored.held.revised_at if recorded.stored else 0
    is_settled = changed_at < microseconds(now - _SETTLED_AFTER)
    if not is_settled or not is_another_series(recorded.arrays, fetched.arrays):
        return None
    return (
        "its candles bear no relation to the bars that are recorded, as those of another symbol; "
        "if they are right, `mlengine bars fetch` takes them"
    )


def _is_older(fetched: CachedBars, recorded: CachedBars) -> str | None:
    """Why an answer is from before what is recorded: its last bar was not final then, maybe."""
    ours, theirs = recorded.arrays, fetched.arrays
    if not theirs.rows or theirs.starts[-1] >= ours.starts[-1]:
        return None
    row = int(ours.starts.searchsorted(theirs.starts[-1]))
    is_ours = ours.starts[row] == theirs.starts[-1]
    if is_ours and (ours.values[:, row] == theirs.values[:, -1]).all():
        return None
    return "it ends with another bar than before, and lacks the newer ones, as an older copy does"


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
