"""Freshness and the history of events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mlengine.core.bars.intervals import interval_end
from mlengine.core.monitoring.event import Event
from mlengine.core.pagination import Page
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import MlengineError
from mlengine.services.bars.bar_ages import BarAgeService
from mlengine.stores.audit.live_bars import LiveBarReader, asked_from
from mlengine.stores.database.events import EventStore
from mlengine.stores.market_data.deadline import Deadline

# What an answer waits for at most, to know which bars were to be expected of late symbols.
_EXPECTATIONS_SECONDS = 2.0


@dataclass(frozen=True)
class SymbolFreshness:
    """`age_seconds` since the bar was final, `age_bars` in bars that were expected since.

    `stale` says that these are too many, and were so when the symbol was last asked for. Where
    nobody has asked since, or in eight days, nothing is known of its feed: that is `unasked`.
    `revised_bars` counts the bars that came with other values later than when first recorded.
    """

    symbol: str
    last_bar: datetime
    age_seconds: float
    age_bars: float
    stale: bool
    revised_bars: int = 0
    unasked: bool = False


@dataclass(frozen=True)
class ModelFreshness:
    version: str
    trained_at: datetime
    age_seconds: float
    trained_through: datetime


@dataclass(frozen=True)
class Freshness:
    symbols: tuple[SymbolFreshness, ...]
    model: ModelFreshness | None
    last_prediction_at: datetime | None


@dataclass(frozen=True)
class MonitoringService:
    """`active_manifest` raises a domain error where there is no active version to tell of.

    `_kept` has the newest bars of symbols, and when these were last asked for, by the newest
    question that they know of.
    """

    audit: LiveBarReader
    events: EventStore
    active_manifest: Callable[[], Manifest]
    interval: str
    bar_ages: BarAgeService
    _kept: dict[tuple[str, int], Mapping[str, datetime]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def history(
        self,
        *,
        kind: str | None,
        limit: int,
        cursor: str | None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        all_lines: bool = False,
    ) -> Page[Event]:
        """Events, newest first; raises InvalidRequest for a cursor that is not ours.

        Of this model line, or of all of them.
        """
        return self.events.page(
            kind, limit, cursor, actor=actor, since=since, until=until, all_lines=all_lines
        )

    def freshness(self, *, now: datetime) -> Freshness:
        """How old the newest bar of each symbol, the model and the last answer are.

        Of the symbols that were predicted for the present: a backtest makes no feed look dead.
        """
        newest = self.audit.newest_question(since=asked_from(self.interval, now=now))
        last_bars = self._until_newer("bars", newest, self.audit.last_live_bars, now)
        deadline = Deadline.after(_EXPECTATIONS_SECONDS)
        revised = self.bar_ages.store.revised_bars(self.interval)
        symbols = [
            self._symbol_freshness(name, bar, now, deadline) for name, bar in last_bars.items()
        ]
        if any(each.stale for each in symbols):
            asked = self._until_newer("asked", newest, self.audit.last_asked, now)
            symbols = [self._as_asked(each, asked.get(each.symbol), now) for each in symbols]
        return Freshness(
            symbols=tuple(
                replace(each, revised_bars=revised.get(each.symbol, 0)) for each in symbols
            ),
            model=self._model_freshness(now),
            last_prediction_at=self.audit.last_prediction_at(now=now),
        )

    def _symbol_freshness(
        self, symbol: str, bar: datetime, now: datetime, deadline: Deadline
    ) -> SymbolFreshness:
        since_final = max(now - interval_end(bar, self.interval), timedelta())
        age = self.bar_ages.age(symbol, bar, moment=now, now=now, deadline=deadline)
        return SymbolFreshness(
            symbol,
            last_bar=bar,
            age_seconds=since_final.total_seconds(),
            age_bars=age.bars,
            stale=age.is_stale,
        )

    def _until_newer(
        self,
        what: str,
        newest: int,
        read: Callable[..., Mapping[str, datetime]],
        now: datetime,
    ) -> Mapping[str, datetime]:
        """What `read` gives, and the same again until there is a newer question."""
        found = self._kept.get((what, newest))
        if found is None:
            found = read(self.interval, now=now)
            for key in [key for key in self._kept.copy() if key[0] == what]:
                self._kept.pop(key, None)
            if newest:  # else nobody asks, and nothing says that the audit was cleared
                self._kept[what, newest] = found
        return found

    def _as_asked(
        self, late: SymbolFreshness, asked_at: datetime | None, now: datetime
    ) -> SymbolFreshness:
        """Who was not asked for since its bar was late has no feed that could be called stale."""
        if not late.stale:
            return late
        if asked_at is None or asked_at < asked_from(self.interval, now=now):
            return replace(late, stale=False, unasked=True)
        age = self.bar_ages.age(
            late.symbol, late.last_bar, moment=asked_at, now=now, deadline=Deadline.after(0.0)
        )
        return late if age.is_stale else replace(late, stale=False, unasked=True)

    def _model_freshness(self, now: datetime) -> ModelFreshness | None:
        try:
            manifest = self.active_manifest()
        except MlengineError:
            return None
        return ModelFreshness(
            version=manifest.version,
            trained_at=manifest.created_at,
            age_seconds=(now - manifest.created_at).total_seconds(),
            trained_through=manifest.trained_through,
        )
