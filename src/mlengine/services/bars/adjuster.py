"""Bars adjusted for the corporate actions that were known at a moment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np

from mlengine.core.actions.actions import ActionRevision, actions_at, revise
from mlengine.core.actions.adjustment import adjust, applied, bars_before
from mlengine.core.actions.kinds import ADJUSTMENTS, SYMBOL_CHANGE
from mlengine.core.bars.bars import BarArrays
from mlengine.errors import MlengineError, UnknownSymbol
from mlengine.services.actions.service import ActionsService
from mlengine.services.bars.served import RECONSTRUCTED, BarsView
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.market_data.deadline import Deadline

# The bars of another symbol; None where they would have to be fetched.
ViewOf = Callable[[str], BarsView | None]


@dataclass(frozen=True)
class Adjuster:
    """Adjusts raw bars of one interval as `adjustment`, the setting MARKET_DATA_ADJUST, says."""

    actions: ActionsService
    adjustment: str
    interval: str

    @property
    def kinds(self) -> Sequence[str]:
        """What prices are adjusted for; where that is nothing, bars are taken as served."""
        return ADJUSTMENTS[self.adjustment]

    def refresh(
        self, symbols: Sequence[str], *, now: datetime, deadline: Deadline, anew: bool = False
    ) -> dict[str, MlengineError]:
        """Look for new actions; why bars of some of the symbols can't be adjusted."""
        if not self.kinds:
            return {}
        return self.actions.refresh(symbols, now=now, deadline=deadline, anew=anew)

    def at_hand(self, symbols: Sequence[str], *, now: datetime) -> list[str]:
        """Those whose bars can be adjusted without asking anybody else."""
        return self.actions.at_hand(symbols, now=now) if self.kinds else list(symbols)

    def adjusted(
        self, symbol: str, view: BarsView, *, bars: int, at: datetime, view_of: ViewOf
    ) -> BarsView | None:
        """The newest `bars` bars (0: all) of a view, adjusted by what was known `at` a moment.

        With those of an earlier symbol before them. None where these are not at hand, or nobody
        looked for actions yet. Raises what `view_of` raises.
        """
        if not self.kinds:
            return view
        if self.actions.of(symbol) is None:
            return None
        lineage = _Lineage(symbol)
        while change := self._add_actions(lineage, at):
            first = self._bars_before(view.cached.arrays.slice(0, view.end), change)
            if 0 < bars <= view.end - first:
                break
            try:
                earlier = view_of(change.earlier_symbol)
            except UnknownSymbol:
                break
            if earlier is None:
                return None
            until = self._bars_before(earlier.cached.arrays.slice(0, earlier.end), change)
            view = _joined(earlier, until, view, first)
        cached, end, origin = view
        if not lineage.actions:
            return view

        def derive() -> CachedBars:
            bars = cached.arrays.slice(0, end)
            adjusted = self._adjust(symbol, bars, lineage.actions.values(), at)
            if adjusted is bars:
                return cached
            return replace(cached, clean=replace(cached.clean, arrays=adjusted))

        return BarsView(cached.variant((end, *lineage.keys), derive), end, origin)

    def adjusted_as_stated(
        self, symbol: str, bars: BarArrays, fetch: Callable[[str], CachedBars], *, now: datetime
    ) -> BarArrays:
        """Bars adjusted for what the source states now, of which nothing is recorded.

        With those of an earlier symbol before them, which `fetch` brings. Raises what the source
        and `fetch` raise.
        """
        if not self.kinds:
            return bars
        lineage = _Lineage(symbol)
        while change := lineage.add(self._stated(lineage.symbol, now), now):
            try:
                earlier = fetch(change.earlier_symbol).arrays
            except UnknownSymbol:
                break
            first = self._bars_before(bars, change)
            bars = _put_before(earlier.slice(0, self._bars_before(earlier, change)), bars, first)
        return self._adjust(symbol, bars, lineage.actions.values(), now)

    def count(self, symbol: str, bars: BarArrays, at: datetime) -> int:
        """How many actions, known at a moment, these bars of a symbol are adjusted for."""
        if not self.kinds:
            return 0
        lineage = _Lineage(symbol)
        while self._add_actions(lineage, at):
            pass
        zone, actions = self.actions.timezone(symbol), lineage.actions.values()
        kinds, interval = self.kinds, self.interval
        return len(list(applied(bars, actions, kinds=kinds, interval=interval, timezone=zone)))

    def _stated(self, symbol: str, now: datetime) -> Sequence[ActionRevision]:
        """What the source states of a symbol, as far as it is known now."""
        stated = self.actions.source.actions([symbol], now=now)[symbol]
        if isinstance(stated, MlengineError):
            raise stated
        zone = self.actions.timezone(symbol)
        revisions = revise((), stated, timezone=zone, seen_at=now, served_until=None)
        return actions_at(revisions, now)

    def _add_actions(self, lineage: _Lineage, at: datetime) -> ActionRevision | None:
        """Go back to the symbol before; returns how it came to its later name."""
        known = self.actions.of(lineage.symbol)
        return lineage.add(known.at(at), known.key(at)) if known else None

    def _adjust(
        self, symbol: str, bars: BarArrays, actions: Iterable[ActionRevision], at: datetime
    ) -> BarArrays:
        zone = self.actions.timezone(symbol)
        return adjust(bars, actions, kinds=self.kinds, at=at, interval=self.interval, timezone=zone)

    def _bars_before(self, arrays: BarArrays, change: ActionRevision) -> int:
        zone = self.actions.timezone(change.symbol)
        return bars_before(arrays, change.ex_date, interval=self.interval, timezone=zone)


@dataclass
class _Lineage:
    """The actions of a symbol, then of its earlier ones; `symbol` is the next of them."""

    symbol: str
    until: date | None = None
    actions: dict[tuple[date, str], ActionRevision] = field(default_factory=dict)
    keys: list[Hashable] = field(default_factory=list)

    def add(self, actions: Sequence[ActionRevision], key: Hashable) -> ActionRevision | None:
        """Those of `symbol`, until it was changed; returns how it came to its name."""
        mine = [each for each in actions if self.until is None or each.ex_date < self.until]
        for each in mine:
            self.actions.setdefault((each.ex_date, each.kind), each)
        self.keys.append(key)
        change = next((each for each in reversed(mine) if each.kind == SYMBOL_CHANGE), None)
        if change:
            self.symbol, self.until = change.earlier_symbol, change.ex_date
        return change


def _put_before(earlier: BarArrays, later: BarArrays, first: int) -> BarArrays:
    """Bars of an earlier symbol before those of a later one from its `first` on."""
    after = later.slice(first, later.rows)
    return BarArrays(
        later.symbol,
        np.concatenate([earlier.starts, after.starts]),
        np.concatenate([earlier.values, after.values], axis=1),
        np.concatenate([earlier.known_at, after.known_at]),
    )


def _joined(earlier: BarsView, until: int, later: BarsView, first: int) -> BarsView:
    """The first `until` bars of an earlier symbol, if any, before our own from `first` on."""
    if not until:
        return later
    end, origin = later.end, later.origin
    if earlier.origin.point_in_time == RECONSTRUCTED:
        origin = origin._replace(point_in_time=RECONSTRUCTED)

    def join() -> CachedBars:
        arrays = _put_before(
            earlier.cached.arrays.slice(0, until), later.cached.arrays.slice(0, end), first
        )
        clean = replace(later.cached.clean, arrays=arrays)
        asked_from = earlier.cached.asked_from
        return replace(later.cached, clean=clean, asked_from=asked_from, stored=None)

    joined = later.cached.variant((first, end, earlier.cached, until), join)
    return BarsView(joined, until + end - first, origin)
