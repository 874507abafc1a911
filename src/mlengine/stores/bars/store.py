"""The bar store: every bar as it was seen, with all its revisions, in the database."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

from sqlalchemy import Connection, Engine

from mlengine.core.bars.recorded import NOTHING_HELD, BarsDiff, KnownBars, Revisions
from mlengine.core.monitoring.event import Event
from mlengine.stores.bars.change_signal import (
    FileChangeSignal,
    PollingChangeSignal,
    open_change_signal,
)
from mlengine.stores.bars.segments import (
    RevisionsReader,
    merge_small,
    read_from,
    read_newest,
    write_rows,
)
from mlengine.stores.bars.series import (
    SeriesMetadata,
    claim_series,
    extend_served,
    read_recording_counts,
    read_revised_bars,
    read_series,
    update_series,
)
from mlengine.stores.bars.stored import Recorded, StoredBars, UpstreamBars, microseconds
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import insert_event

log = logging.getLogger(__name__)

# Others write for milliseconds; whoever asks for bars must not wait for a lock that stays.
_LOCK_SECONDS = 1.0
_RECORDINGS_A_MERGE = 16


@dataclass(frozen=True)
class BarStore:
    """The tables `bar_series` and `bar_segments`; every method raises DatabaseUnavailable.

    Nothing is overwritten: a revised bar is a further row, and so is one that is gone.
    """

    engine: Engine

    def record(
        self, answers: Mapping[str, UpstreamBars], interval: str, *, seen_at: datetime
    ) -> Recorded:
        """Write what is new or revised in the answers, all of them in one transaction.

        Revisions are logged, and written as one event `bars_revised`.
        """
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            asked_from = {symbol: answer.asked_from for symbol, answer in answers.items()}
            series = claim_series(connection, asked_from, interval, seen_at)
            before = _recorded_before(connection, answers, series)
            bars: dict[str, StoredBars] = {}
            diffs: dict[str, BarsDiff] = {}
            for symbol, answer in answers.items():
                held, holds_all = before[symbol]
                diff = answer.diff(held, series[symbol], interval, seen_at)
                updated = answer.updated(series[symbol], held, diff, seen_at)
                holds_all = holds_all or answer.asked_from <= updated.asked_from
                asked_for = diff.after.from_start(microseconds(updated.asked_from))
                bars[symbol] = StoredBars(asked_for, updated, holds_all)
                diffs[symbol] = diff
            _write(connection, bars, diffs)
            revised = {symbol: each.revised for symbol, each in diffs.items() if each.revised}
            if revised:
                insert_event(connection, _revision_event(revised, interval, seen_at))
        if any(each.rows.rows for each in diffs.values()):
            self._signal.notify()
        for symbol, count in revised.items():
            facts = {"symbol": symbol, "interval": interval, "revised": count}
            log.warning("stored bars revised", extra=facts)
        return Recorded(bars, sum(diff.new for diff in diffs.values()), revised)

    def newest(
        self,
        symbols: Collection[str],
        interval: str,
        *,
        bars: int,
        in_memory: Mapping[str, StoredBars] | None = None,
    ) -> dict[str, StoredBars]:
        """At least the newest `bars` bars (0: all) of each symbol, or as many as there are.

        What is `in_memory` is not read again where nothing was recorded since. A symbol that was
        never recorded is left out.
        """
        with reading(self.engine) as connection:
            series = read_series(connection, symbols, interval)
            current = {
                symbol: replace(bars_in_memory, series=series[symbol])
                for symbol, bars_in_memory in (in_memory or {}).items()
                if symbol in series
                and bars_in_memory.series.recordings == series[symbol].recordings
                and bars_in_memory.suffices(bars)
            }
            others = [each for symbol, each in series.items() if symbol not in current]
            return current | _read(connection, others, bars, _newest)

    def known_at(
        self, symbols: Collection[str], interval: str, moment: datetime, *, bars: int
    ) -> dict[str, StoredBars]:
        """The newest `bars` bars (0: all) of each symbol that were known at `moment`."""
        at = microseconds(moment)
        with reading(self.engine) as connection:
            series = read_series(connection, symbols, interval)
            return _read(connection, series.values(), bars, partial(_at, at, bars))

    def recording_counts(self, interval: str) -> dict[str, int]:
        """How often rows were added to the bars of each symbol; who has none is left out."""
        with reading(self.engine) as connection:
            return read_recording_counts(connection, interval)

    def revised_bars(self, interval: str) -> dict[str, int]:
        """How many bars of each symbol were revised since they were first recorded."""
        with reading(self.engine) as connection:
            return read_revised_bars(connection, interval)

    def recordings_changed(self) -> bool:
        """Whether rows were added since the last call, by whichever process; cheap."""
        return self._signal.changed()

    @cached_property
    def _signal(self) -> FileChangeSignal | PollingChangeSignal:
        return open_change_signal(self.engine)

    def extend_served(self, symbols: Collection[str], interval: str, until: datetime) -> None:
        """Note that answers are given from the recorded bars for longer, while no others come."""
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            extend_served(connection, symbols, interval, until)


def _recorded_before(
    connection: Connection,
    answers: Mapping[str, UpstreamBars],
    series: Mapping[str, SeriesMetadata],
) -> dict[str, tuple[KnownBars, bool]]:
    """The bars of each symbol from the beginning of its answer on; whether they are all."""
    before: dict[str, tuple[KnownBars, bool]] = {}
    starts: dict[int, int] = {}
    for symbol, answer in answers.items():
        if answer.base and answer.base.covers(answer.asked_from, series[symbol]):
            before[symbol] = answer.base.held, answer.base.holds_all_recorded
        elif series[symbol].recordings:
            starts[series[symbol].id] = microseconds(answer.asked_from)
    rows = read_from(connection, starts) if starts else {}
    for symbol in answers.keys() - before.keys():
        revisions = rows.get(series[symbol].id)
        before[symbol] = (revisions.newest(symbol) if revisions else NOTHING_HELD), False
    return before


def _write(
    connection: Connection, bars: Mapping[str, StoredBars], diffs: Mapping[str, BarsDiff]
) -> None:
    rows = {bars[symbol].series.id: each.rows for symbol, each in diffs.items() if each.rows.rows}
    if rows:
        write_rows(connection, rows)
    update_series(connection, [each.series for each in bars.values()])
    turns = {each.series.id: each.series.id + each.series.recordings for each in bars.values()}
    # Not all series of one recording at once.
    crowded = [series for series in rows if turns[series] % _RECORDINGS_A_MERGE == 0]
    if crowded:
        merge_small(connection, crowded)


def _read(
    connection: Connection,
    series: Collection[SeriesMetadata],
    bars: int,
    view: Callable[[SeriesMetadata, Revisions], KnownBars],
) -> dict[str, StoredBars]:
    """The view on what is recorded of each series after the last time that was never asked for."""
    views: dict[int, RevisionsReader] = {
        each.id: partial(_asked_for, each, view) for each in series
    }
    held = read_newest(connection, views, bars=bars) if views else {}
    return {each.symbol: StoredBars(held[each.id][0], each, held[each.id][1]) for each in series}


def _asked_for(
    series: SeriesMetadata,
    view: Callable[[SeriesMetadata, Revisions], KnownBars],
    revisions: Revisions,
) -> KnownBars:
    return view(series, revisions.from_start(microseconds(series.asked_from)))


def _newest(series: SeriesMetadata, revisions: Revisions) -> KnownBars:
    return revisions.newest(series.symbol)


def _at(moment: int, bars: int, series: SeriesMetadata, revisions: Revisions) -> KnownBars:
    return revisions.at(series.symbol, moment, bars)


def _revision_event(revised: Mapping[str, int], interval: str, now: datetime) -> Event:
    details = {"interval": interval, "bars": sum(revised.values()), "symbols": dict(revised)}
    return Event(kind="bars_revised", at=now, version=None, actor=None, details=details)
