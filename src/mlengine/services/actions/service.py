"""The corporate actions of each symbol: asked of their source, recorded, and in memory."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property

from mlengine.core.actions.actions import ActionRevision, StatedAction, actions_at, next_midnight
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.errors import DatabaseUnavailable, MlengineError, UpstreamInvalid
from mlengine.stores.bars.action_store import ActionStore, RecordedActions, ReportedActions
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import NEVER, Deadline

log = logging.getLogger(__name__)

# A source that failed is asked again after so long, while what is recorded of it serves.
_RETRY_AFTER = timedelta(minutes=1)
_NO_NEW_ANSWER = timedelta(seconds=5)
# One or two may have been taken back; that so many are is an empty answer.
_FEWEST_GONE = 3


@dataclass(frozen=True)
class SymbolActions:
    """The actions of a symbol as of the last look, and what their source was like then."""

    recorded: RecordedActions
    version: Hashable = None
    retry_at: datetime | None = None
    _by_key: dict[Hashable, list[ActionRevision]] = field(default_factory=dict, init=False)

    def key(self, at: datetime) -> Hashable:
        """Another one where other revisions were known."""
        return len(self._moments), bisect_right(self._moments, at)

    def at(self, moment: datetime) -> list[ActionRevision]:
        """What was known then, by date."""
        key = self.key(moment)
        actions = self._by_key.get(key)
        if actions is None:
            actions = self._by_key[key] = actions_at(self.recorded.revisions, moment)
        return actions

    @cached_property
    def _moments(self) -> list[datetime]:
        return sorted(each.known_at for each in self.recorded.revisions)


@dataclass(frozen=True)
class ActionsService:
    """The source of actions is asked once a day a symbol, and when it says that it has changed.

    What it states is recorded before anybody sees it.
    """

    source: MarketData
    store: ActionStore
    markets: MarketDirectory = NO_MARKETS
    _by_symbol: dict[str, SymbolActions] = field(default_factory=dict, init=False, repr=False)
    _failures: dict[str, tuple[datetime, MlengineError]] = field(
        default_factory=dict, init=False, repr=False
    )
    _locks: dict[str, threading.Lock] = field(default_factory=dict, init=False, repr=False)

    def of(self, symbol: str) -> SymbolActions | None:
        """As of the last `refresh`; None where nobody looked."""
        return self._by_symbol.get(symbol)

    def refresh(
        self,
        symbols: Sequence[str],
        *,
        now: datetime,
        deadline: Deadline = NEVER,
        anew: bool = False,
    ) -> dict[str, MlengineError]:
        """Look for new actions of the symbols; why there is no word of some of them.

        Whoever looks while another asks a service for a symbol gets what that one gets. With `anew`
        a service is asked that was asked today.
        """
        try:
            if not self._is_remote:
                return self._refresh(symbols, now, deadline)
            errors: dict[str, MlengineError] = {}
            for symbol in symbols:
                with self._locks.setdefault(symbol, threading.Lock()):
                    errors |= self._refresh([symbol], now, deadline, anew=anew)
        except DatabaseUnavailable as error:
            log.warning("actions not recorded", extra={"reason": str(error)})
            return {symbol: error for symbol in symbols if symbol not in self._by_symbol}
        return errors

    def at_hand(self, symbols: Sequence[str], *, now: datetime) -> list[str]:
        """Those for which no service has to be asked."""
        if not self._is_remote:
            return list(symbols)
        try:
            recorded = self.store.read(symbols)
        except DatabaseUnavailable:
            return [symbol for symbol in symbols if symbol in self._by_symbol]
        version = self.source.actions_version()
        return [s for s in symbols if not self._is_due(s, recorded.get(s), version, now)]

    def _refresh(
        self, symbols: Sequence[str], now: datetime, deadline: Deadline, *, anew: bool = False
    ) -> dict[str, MlengineError]:
        failed: dict[str, MlengineError] = {}
        recorded, version = self.store.read(symbols), self.source.actions_version()
        due = [s for s in symbols if anew or self._is_due(s, recorded.get(s), version, now)]
        if due:
            failed = self._ask(due, recorded, now, deadline)
        for symbol, each in recorded.items():
            before = self._by_symbol.get(symbol)
            retry_at = now + _RETRY_AFTER if symbol in failed else None
            if before and symbol not in due:
                retry_at = before.retry_at
            if before is None or symbol in due or before.recorded.revisions != each.revisions:
                self._by_symbol[symbol] = SymbolActions(each, version, retry_at)
        return {symbol: error for symbol, error in failed.items() if symbol not in recorded}

    @property
    def _is_remote(self) -> bool:
        """Whether the source is another machine, which may take its time."""
        return self.source.deadline() != NEVER

    def timezone(self, symbol: str) -> tzinfo:
        """That of its market; UTC where none is stated."""
        return self.markets.market(symbol).timezone or UTC

    def _is_due(
        self, symbol: str, recorded: RecordedActions | None, version: Hashable, now: datetime
    ) -> bool:
        if recorded is None:
            return True
        before = self._by_symbol.get(symbol)
        if before and before.retry_at:
            return now >= before.retry_at
        if version != (before.version if before else None):
            return True
        return now >= next_midnight(recorded.asked_at, self.timezone(symbol))

    def _ask(
        self,
        symbols: Sequence[str],
        recorded: dict[str, RecordedActions],
        now: datetime,
        deadline: Deadline,
    ) -> dict[str, MlengineError]:
        """Add what the source states now to `recorded`; why it states nothing of the others."""
        failed = {s: error for s in symbols if (error := self._failed_lately(s, now))}
        statements: dict[str, ReportedActions] = {}
        ends_at = self.source.deadline().sooner_of(deadline)
        asked = [symbol for symbol in symbols if symbol not in failed]
        for symbol, stated in self.source.actions(asked, now=now, deadline=ends_at).items():
            each = stated
            if self._is_remote and symbol in recorded and _lacks_all(stated, recorded[symbol], now):
                each = UpstreamInvalid(f"actions of {symbol}: all that there were are gone")
            if isinstance(each, MlengineError):
                failed[symbol], self._failures[symbol] = each, (now, each)
                facts = {"symbol": symbol, "reason": str(each)}
                log.warning("actions not usable", extra=facts)
            else:
                statements[symbol] = ReportedActions(each, self.timezone(symbol))
        if statements:
            recorded |= self.store.record(statements, seen_at=now)
        if serving_on := failed.keys() & recorded.keys():
            self.store.mark_asked(serving_on, now)
        return failed

    def _failed_lately(self, symbol: str, now: datetime) -> MlengineError | None:
        """How a service has just failed: those who waited for its answer don't ask again."""
        at, error = self._failures.get(symbol, (now, None))
        return error if self._is_remote and now - at < _NO_NEW_ANSWER else None


def _lacks_all(
    stated: Sequence[StatedAction] | MlengineError, recorded: RecordedActions, now: datetime
) -> bool:
    """Whether nothing is stated any more, though several actions have had their effect."""
    if isinstance(stated, MlengineError) or len(stated):
        return False
    known = actions_at(recorded.revisions, now)
    return sum(each.ex_date <= now.date() for each in known) >= _FEWEST_GONE
