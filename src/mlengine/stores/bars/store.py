"""The bar store: every bar as it was seen, with all its revisions, in the database."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Engine, select

from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.recorded import NOTHING_HELD, Change, HeldBars, Revisions
from mlengine.core.monitoring.event import Event
from mlengine.core.timestamps import EPOCH
from mlengine.stores.bars.segments import merge_small, read_from, read_newest, write_rows
from mlengine.stores.bars.series import Series, claim_series, read_series, update_series
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import MICROSECOND, bar_series

log = logging.getLogger(__name__)

# Others write for milliseconds; whoever asks for bars must not wait for a lock that stays.
_LOCK_SECONDS = 1.0
_RECORDINGS_A_MERGE = 16


@dataclass(frozen=True, eq=False)
class StoredBars:
    """The newest revisions of a series, from some bar on."""

    held: HeldBars
    series: Series

    def covers(self, start: datetime, current: Series) -> bool:
        """Whether they are all that is recorded from `start` on, and beyond."""
        starts = self.held.arrays.starts
        return (
            self.series.recordings == current.recordings
            and len(starts) > 0
            and int(starts[0]) <= _microseconds(start) <= int(starts[-1])
        )


@dataclass(frozen=True, eq=False)
class Answer:
    """All bars of a symbol from `asked_from` on, as the upstream gave them just now.

    `arrays.known_at` is when each was final. `base` is what was recorded before, where that is in
    memory.
    """

    arrays: BarArrays
    asked_from: datetime
    good_until: datetime
    base: StoredBars | None = None
    report: str | None = None


@dataclass(frozen=True)
class Recorded:
    """The bars of each symbol once an answer is recorded; how many were new, and revised."""

    bars: Mapping[str, StoredBars]
    new: int
    revised: Mapping[str, int]


@dataclass(frozen=True)
class BarStore:
    """The tables `bar_series` and `bar_segments`; every method raises DatabaseUnavailable.

    Nothing is overwritten: a revised bar is a further row, and so is one that is gone.
    """

    engine: Engine

    def record(
        self, answers: Mapping[str, Answer], interval: str, *, seen_at: datetime
    ) -> Recorded:
        """Write what is new or revised in the answers, all of them in one transaction.

        Revisions are logged, and written as one event `bars_revised`.
        """
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            asked_from = {symbol: answer.asked_from for symbol, answer in answers.items()}
            series = claim_series(connection, asked_from, interval, seen_at)
            held = _held(connection, answers, series)
            changes = {
                symbol: _change(held[symbol], answer, series[symbol], interval, seen_at)
                for symbol, answer in answers.items()
            }
            updated = {
                symbol: _updated(series[symbol], answers[symbol], held[symbol], change, seen_at)
                for symbol, change in changes.items()
            }
            _write(connection, changes, updated)
            revised = {symbol: each.revised for symbol, each in changes.items() if each.revised}
            if revised:
                insert_event(connection, _revision_event(revised, interval, seen_at))
        for symbol, count in revised.items():
            facts = {"symbol": symbol, "interval": interval, "revised": count}
            log.warning("stored bars revised", extra=facts)
        bars = {symbol: StoredBars(changes[symbol].held, updated[symbol]) for symbol in answers}
        return Recorded(bars, sum(change.new for change in changes.values()), revised)

    def newest(
        self, symbols: Collection[str], interval: str, *, bars: int
    ) -> dict[str, StoredBars]:
        """At least the newest `bars` bars (0: all) of each symbol, or as many as there are.

        A symbol that was never recorded is left out.
        """
        with reading(self.engine) as connection:
            series = read_series(connection, symbols, interval)
            views = {each.id: partial(_newest, each) for each in series.values()}
            held = read_newest(connection, views, bars=bars)
        return {symbol: StoredBars(held[each.id], each) for symbol, each in series.items()}

    def known_at(
        self, symbols: Collection[str], interval: str, moment: datetime, *, bars: int
    ) -> dict[str, StoredBars]:
        """The newest `bars` bars (0: all) of each symbol that were known at `moment`."""
        with reading(self.engine) as connection:
            series = read_series(connection, symbols, interval)
            views = {each.id: partial(_at, each, moment, bars) for each in series.values()}
            held = read_newest(connection, views, bars=bars)
        return {symbol: StoredBars(held[each.id], each) for symbol, each in series.items()}

    def symbols(self, interval: str) -> list[str]:
        """The symbols with recorded bars, by name."""
        query = select(bar_series.c.symbol).where(
            bar_series.c.interval == interval, bar_series.c.recordings > 0
        )
        with reading(self.engine) as connection:
            return sorted(connection.scalars(query))


def _held(
    connection: Connection, answers: Mapping[str, Answer], series: Mapping[str, Series]
) -> dict[str, HeldBars]:
    """What is recorded of each symbol from the beginning of its answer on, and maybe before it."""
    held: dict[str, HeldBars] = {}
    starts: dict[int, int] = {}
    for symbol, answer in answers.items():
        current = series[symbol]
        if answer.base and answer.base.covers(answer.asked_from, current):
            held[symbol] = answer.base.held
        elif current.recordings:
            starts[current.id] = _microseconds(answer.asked_from)
    rows = read_from(connection, starts) if starts else {}
    for symbol in answers.keys() - held.keys():
        revisions = rows.get(series[symbol].id)
        held[symbol] = revisions.newest(symbol) if revisions else NOTHING_HELD
    return held


def _change(
    held: HeldBars, answer: Answer, series: Series, interval: str, seen_at: datetime
) -> Change:
    """What an answer changes.

    Where nobody looked for longer than an interval, nobody can say when a bar came: it counts as
    known from when it was final on, or from when it could be missing in an answer no more.
    """
    unwatched = seen_at - series.served_until > INTERVALS[interval]
    return held.change(
        answer.arrays,
        seen_at=_microseconds(max(seen_at, series.fetched_at)),
        asked_from=_microseconds(series.asked_from),
        known_from=_microseconds(series.served_until) if unwatched else None,
    )


def _updated(
    series: Series, answer: Answer, held: HeldBars, change: Change, seen_at: datetime
) -> Series:
    adjoining = bool(held.arrays.rows) or not series.recordings
    return series._replace(
        asked_from=min(series.asked_from, answer.asked_from) if adjoining else answer.asked_from,
        fetched_at=max(seen_at, series.fetched_at),
        good_until=answer.good_until,
        served_until=max(answer.good_until, series.served_until),
        recordings=series.recordings + bool(change.rows.rows),
        report=answer.report,
    )


def _write(
    connection: Connection, changes: Mapping[str, Change], updated: Mapping[str, Series]
) -> None:
    rows = {updated[symbol].id: each.rows for symbol, each in changes.items() if each.rows.rows}
    if rows:
        write_rows(connection, rows)
    update_series(connection, updated.values())
    for each in updated.values():
        # Not all series of one recording at once.
        if each.id in rows and (each.id + each.recordings) % _RECORDINGS_A_MERGE == 0:
            merge_small(connection, each.id)


def _newest(series: Series, revisions: Revisions) -> HeldBars:
    return _adjoining(series, revisions).newest(series.symbol)


def _at(series: Series, moment: datetime, bars: int, revisions: Revisions) -> HeldBars:
    return _adjoining(series, revisions).at(series.symbol, _microseconds(moment), bars)


def _adjoining(series: Series, revisions: Revisions) -> Revisions:
    """Those after the last stretch of time of which the upstream was never asked."""
    return revisions.from_start(_microseconds(series.asked_from))


def _revision_event(revised: Mapping[str, int], interval: str, now: datetime) -> Event:
    details = {"interval": interval, "bars": sum(revised.values()), "symbols": dict(revised)}
    return Event(kind="bars_revised", at=now, version=None, actor=None, details=details)


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND
