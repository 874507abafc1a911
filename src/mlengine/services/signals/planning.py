"""Which bars of a line are final, and so to be scored: by the calendars of its symbols."""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.signals.signal import Tick
from mlengine.core.signals.ticks import newest_tick
from mlengine.errors import MlengineError
from mlengine.services.bars.service import BarService
from mlengine.services.outcomes.recorded_bars import OutcomeBars
from mlengine.services.signals.universe import ScoredUniverse
from mlengine.stores.registry.active import ActiveFile
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.signals.plans import SignalPlans

log = logging.getLogger(__name__)

_CALENDARS_GOOD_FOR = timedelta(hours=1)
_MOST_PLANNED = 1_000


@dataclass
class SignalPlanner:
    """Plans the bars of one line, of those of its `symbols` that its `universe` has that day.

    Any number may at once.

    A bar is planned as long as it is not too late to speak of it: `wait` after it is final, and no
    longer than until the next one is.
    """

    line: str
    symbols: Sequence[str]
    bars: BarService
    loader: ModelLoader
    active: ActiveFile
    plans: SignalPlans
    slice_symbols: int
    wait: timedelta
    universe: ScoredUniverse
    _calendars: Mapping[str, Calendar] = field(default_factory=dict, init=False)
    _calendars_until: datetime | None = field(default=None, init=False)
    _planned: set[Tick] = field(default_factory=set, init=False)

    def plan(self, *, now: datetime) -> None:
        """Plan what has become final; raises DatabaseUnavailable, or why there is no champion."""
        for tick, symbols in self._due(now).items():
            if tick in self._planned:
                continue
            is_ours = self.plans.plan(
                self.line,
                tick,
                self._versions(),
                symbols,
                give_up_at=self._give_up_at(tick),
                slice_symbols=self.slice_symbols,
                now=now,
            )
            if len(self._planned) >= _MOST_PLANNED:
                self._planned.clear()
            self._planned.add(tick)
            if is_ours:
                facts = {"line": self.line, "bar": tick.bar_timestamp, "symbols": len(symbols)}
                log.info("bar planned", extra=facts)

    def calendar(self, symbol: str) -> Calendar:
        """By which its bars are expected."""
        if symbol not in self._calendars:
            self._calendars = {**self._calendars, **self._calendars_of([symbol])}
        return self._calendars[symbol]

    def _due(self, now: datetime) -> dict[Tick, list[str]]:
        """The symbols of each bar that may still be planned.

        Where the calendars of a bar have the next one at different times, the first of them counts.
        """
        interval, ticks = INTERVALS[self.bars.interval], dict[Calendar, Tick | None]()
        due: dict[tuple[datetime, datetime], tuple[Tick, list[str]]] = {}
        members: dict[date, Set[str] | None] = {}
        for symbol, calendar in self._calendars_at(now).items():
            if calendar not in ticks:
                ticks[calendar] = newest_tick(calendar, interval, now=now)
            tick, ends_at = ticks[calendar], self.bars.markets.market(symbol).ends_at
            if tick is None or now >= self._give_up_at(tick):
                continue
            if ends_at is not None and tick.bar_timestamp >= ends_at:
                continue
            day = tick.bar_timestamp.date()
            if day not in members:
                members[day] = self.universe.members_on(day)
            if (those := members[day]) is None or symbol in those:
                bar = tick.at, tick.bar_timestamp
                earlier, names = due.get(bar, (tick, []))
                names.append(symbol)
                due[bar] = min(earlier, tick, key=_next_at), names
        return dict(due.values())

    def _give_up_at(self, tick: Tick) -> datetime:
        return min(tick.at + self.wait, tick.next_at)

    def _versions(self) -> tuple[str, str | None]:
        """The version that serves, and the one before it where that can be loaded."""
        champion, active = self.loader.active().version, self.active.read_or_none()
        previous = active.previous_version if active else None
        if previous is None or previous == champion:
            return champion, None
        try:
            self.loader.get(previous)
        except MlengineError as error:
            facts = {"version": previous, "code": error.code, "reason": str(error)}
            log.info("previous champion not scored", extra=facts)
            return champion, None
        return champion, previous

    def _calendars_at(self, now: datetime) -> Mapping[str, Calendar]:
        if self._calendars_until is None or now >= self._calendars_until:
            canonical = self.bars.markets.canonical
            symbols = dict.fromkeys(map(canonical, self.symbols))
            self._calendars = self._calendars_of(list(symbols))
            self._calendars_until = now + _CALENDARS_GOOD_FOR
        return self._calendars

    def _calendars_of(self, symbols: Sequence[str]) -> dict[str, Calendar]:
        """The calendars that are named, and those that recorded bars suggest."""
        market = self.bars.markets.market
        named = {symbol: market(symbol).calendar for symbol in symbols}
        suggested = OutcomeBars(self.bars).calendars(
            [symbol for symbol, calendar in named.items() if calendar is None]
        )
        return {symbol: named[symbol] or suggested[symbol] for symbol in symbols}


def _next_at(tick: Tick) -> datetime:
    return tick.next_at
