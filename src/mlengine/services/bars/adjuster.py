"""Bars adjusted for the corporate actions that were known at a moment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np

from mlengine.core.actions.actions import CorporateAction, revise
from mlengine.core.actions.adjustment import adjust, applied, bars_before
from mlengine.core.actions.kinds import ADJUSTMENTS, SYMBOL_CHANGE
from mlengine.core.bars.bars import BarArrays
from mlengine.errors import MlengineError, UnknownSymbol
from mlengine.services.actions.service import ActionsService
from mlengine.services.bars.served import RECONSTRUCTED, View
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.market_data.deadline import Deadline

# The bars of another symbol; None where they would have to be fetched.
ViewOf = Callable[[str], View | None]


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
        self, symbols: Sequence[str], *, now: datetime, deadline: Deadline
    ) -> dict[str, MlengineError]:
        """Look for new actions; why bars of some of the symbols can't be adjusted."""
        return self.actions.refresh(symbols, now=now, deadline=deadline) if self.kinds else {}

    def adjusted(
        self, symbol: str, view: View, *, bars: int, at: datetime, view_of: ViewOf
    ) -> View | None:
        """The newest `bars` bars (0: all) of a view, adjusted by what was known `at` a moment.

        With those of an earlier symbol before them. None where these are not at hand, or nobody
        looked for actions yet. Raises what `view_of` raises.
        """
        if not self.kinds:
            return view
        if self.actions.of(symbol) is None:
            return None
        lineage = _Lineage(view, symbol)
        while change := self._add_actions(lineage, at):
            first = self._bars_before(lineage.view, change)
            if 0 < bars <= lineage.view.end - first:
                break
            try:
                earlier = view_of(change.earlier_symbol)
            except UnknownSymbol:
                break
            if earlier is None:
                return None
            lineage.add(change, first, earlier, self._bars_before(earlier, change))
        cached, end, origin = lineage.view
        if not lineage.actions:
            return lineage.view

        def derive() -> CachedBars:
            bars = cached.arrays.slice(0, end)
            adjusted = self._adjust(symbol, bars, lineage.actions.values(), at)
            if adjusted is bars:
                return cached
            return replace(cached, clean=replace(cached.clean, arrays=adjusted))

        return View(cached.variant((end, *lineage.keys), derive), end, origin)

    def adjusted_as_stated(self, symbol: str, bars: BarArrays, now: datetime) -> BarArrays:
        """Bars adjusted for what the source states now, of which nothing is recorded.

        Raises what the source raises.
        """
        if not self.kinds:
            return bars
        stated = self.actions.market.actions([symbol], now=now)[symbol]
        if isinstance(stated, MlengineError):
            raise stated
        zone = self.actions.timezone(symbol)
        revisions = revise((), stated, timezone=zone, seen_at=now, served_until=None)
        return self._adjust(symbol, bars, revisions, now)

    def count(self, symbol: str, bars: BarArrays, at: datetime) -> int:
        """How many actions of a symbol, known at a moment, these bars are adjusted for."""
        known = self.actions.of(symbol)
        if not self.kinds or known is None:
            return 0
        zone = self.actions.timezone(symbol)
        kinds, interval = self.kinds, self.interval
        return len(list(applied(bars, known.at(at), kinds=kinds, interval=interval, timezone=zone)))

    def _add_actions(self, lineage: _Lineage, at: datetime) -> CorporateAction | None:
        """Add what was known of the first symbol of a lineage; returns how it came to its name."""
        known = self.actions.of(lineage.symbol)
        return lineage.add_actions(known.at(at), known.key(at)) if known else None

    def _adjust(
        self, symbol: str, bars: BarArrays, actions: Iterable[CorporateAction], at: datetime
    ) -> BarArrays:
        zone = self.actions.timezone(symbol)
        return adjust(bars, actions, kinds=self.kinds, at=at, interval=self.interval, timezone=zone)

    def _bars_before(self, view: View, change: CorporateAction) -> int:
        zone = self.actions.timezone(change.symbol)
        arrays = view.cached.arrays.slice(0, view.end)
        return bars_before(arrays, change.ex_date, interval=self.interval, timezone=zone)


@dataclass
class _Lineage:
    """The bars of a symbol after those of its earlier ones, of which `symbol` is the first."""

    view: View
    symbol: str
    until: date | None = None
    actions: dict[tuple[date, str], CorporateAction] = field(default_factory=dict)
    keys: list[Hashable] = field(default_factory=list)

    def add_actions(
        self, actions: Sequence[CorporateAction], key: Hashable
    ) -> CorporateAction | None:
        """Those of `symbol`, until it changed; returns how it came to its name."""
        self.keys.append(key)
        mine = [each for each in actions if self.until is None or each.ex_date < self.until]
        for each in mine:
            self.actions.setdefault((each.ex_date, each.kind), each)
        return next((each for each in reversed(mine) if each.kind == SYMBOL_CHANGE), None)

    def add(self, change: CorporateAction, first: int, earlier: View, end: int) -> None:
        """The first `end` bars of the earlier symbol, before ours from `first` on."""
        self.symbol, self.until = change.earlier_symbol, change.ex_date
        if not end:
            return
        cached = self.view.cached
        joined = cached.variant(
            (first, self.view.end, earlier.cached, end),
            lambda: _joined(change.symbol, earlier.cached, end, cached, first, self.view.end),
        )
        origin = self.view.origin
        if earlier.origin.point_in_time == RECONSTRUCTED:
            origin = origin._replace(point_in_time=RECONSTRUCTED)
        self.view = View(joined, end + self.view.end - first, origin)


def _joined(
    symbol: str, earlier: CachedBars, until: int, later: CachedBars, first: int, end: int
) -> CachedBars:
    before, after = earlier.arrays.slice(0, until), later.arrays.slice(first, end)
    arrays = BarArrays(
        symbol,
        np.concatenate([before.starts, after.starts]),
        np.concatenate([before.values, after.values], axis=1),
        np.concatenate([before.known_at, after.known_at]),
    )
    clean = replace(later.clean, arrays=arrays)
    return replace(later, clean=clean, asked_from=earlier.asked_from, stored=None)
