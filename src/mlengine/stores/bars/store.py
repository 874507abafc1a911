"""The bar store: every bar as it was seen, with all its revisions, in the database."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

from sqlalchemy import Connection, Engine

from mlengine.core.bars.recorded import NO_REVISIONS, BarsDiff, KnownBars, Revisions
from mlengine.core.bars.recorded_panel import UpstreamAnswer, diffs, newest_of_each
from mlengine.core.timestamps import microseconds
from mlengine.stores.bars.change_signal import (
    FileChangeSignal,
    PollingChangeSignal,
    open_change_signal,
)
from mlengine.stores.bars.segments import (
    merge_small,
    read_from,
    read_newest,
    read_newest_seen,
    write_rows,
)
from mlengine.stores.bars.series import (
    SeriesMetadata,
    claim_series,
    extend_served,
    read_recording_counts,
    read_revised_bars,
    read_series,
    series_interval,
    update_series,
)
from mlengine.stores.bars.stored import Recorded, StoredBars, UpstreamBars, revision_event
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import insert_event

log = logging.getLogger(__name__)

# Others write for milliseconds; whoever asks for bars must not wait for a lock that stays.
_LOCK_SECONDS = 1.0
_RECORDINGS_A_MERGE = 16

_View = Callable[[Sequence[tuple[str, Revisions]]], Sequence[KnownBars]]


@dataclass(frozen=True)
class BarStore:
    """The tables `bar_series` and `bar_segments`; every method raises DatabaseUnavailable.

    Nothing is overwritten: a revised bar is a further row, and so is one that is gone. Bars that
    are `of_sample` are kept apart from those of all other sources.
    """

    engine: Engine
    of_sample: bool = False

    def record(
        self, answers: Mapping[str, UpstreamBars], interval: str, *, seen_at: datetime
    ) -> Recorded:
        """Write what is new or revised in the answers, all of them in one transaction.

        Revisions are logged, and written as one event `bars_revised`.
        """
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            asked_from = {symbol: answer.asked_from for symbol, answer in answers.items()}
            series = claim_series(connection, asked_from, self._key(interval), seen_at)
            before = _recorded_before(connection, answers, series)
            compared = [
                answer.beside(before[symbol][0], series[symbol], interval, seen_at)
                for symbol, answer in answers.items()
            ]
            changes = dict(zip(answers, _diffs(connection, compared, series), strict=True))
            bars = {
                symbol: _updated(answer, series[symbol], *before[symbol], changes[symbol], seen_at)
                for symbol, answer in answers.items()
            }
            _write(connection, bars, changes)
            revised = {symbol: each.revised for symbol, each in changes.items() if each.revised}
            if revised:
                insert_event(connection, revision_event(revised, interval, seen_at))
        if any(each.rows.rows for each in changes.values()):
            self._signal.notify()
        for symbol, count in revised.items():
            facts = {"symbol": symbol, "interval": interval, "revised": count}
            log.warning("stored bars revised", extra=facts)
        return Recorded(bars, sum(each.new for each in changes.values()), revised)

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
            series = read_series(connection, symbols, self._key(interval))
            current = {
                symbol: bars_in_memory.of_series(series[symbol])
                for symbol, bars_in_memory in (in_memory or {}).items()
                if symbol in series
                and bars_in_memory.series.recordings == series[symbol].recordings
                and bars_in_memory.suffices(bars)
            }
            others = [each for symbol, each in series.items() if symbol not in current]
            return current | _read(connection, others, bars, newest_of_each)

    def known_at(
        self, symbols: Collection[str], interval: str, moment: datetime, *, bars: int
    ) -> dict[str, StoredBars]:
        """The newest `bars` bars (0: all) of each symbol that were known at `moment`."""
        at = microseconds(moment)
        with reading(self.engine) as connection:
            series = read_series(connection, symbols, self._key(interval))
            read = _read(connection, series.values(), bars, partial(_at, at, bars))
        return {symbol: replace(each, of_the_past=True) for symbol, each in read.items()}

    def recording_counts(self, interval: str) -> dict[str, int]:
        """How often rows were added to the bars of each symbol; who has none is left out."""
        with reading(self.engine) as connection:
            return read_recording_counts(connection, self._key(interval))

    def revised_bars(self, interval: str) -> dict[str, int]:
        """How many bars of each symbol were revised since they were first recorded."""
        with reading(self.engine) as connection:
            return read_revised_bars(connection, self._key(interval))

    def recordings_changed(self) -> bool:
        """Whether rows were added since the last call, by whichever process; cheap."""
        return self._signal.changed()

    def own_recordings_known(self) -> AbstractContextManager[None]:
        """Let `recordings_changed` not tell of what this thread records, where it can be helped."""
        return self._signal.own_recordings_known()

    def _key(self, interval: str) -> str:
        return series_interval(interval, of_sample=self.of_sample)

    @cached_property
    def _signal(self) -> FileChangeSignal | PollingChangeSignal:
        return open_change_signal(self.engine)

    def extend_served(self, symbols: Collection[str], interval: str, until: datetime) -> None:
        """Note that answers are given from the recorded bars for longer, while no others come."""
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            extend_served(connection, symbols, self._key(interval), until)


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
    read = [(symbol, rows.get(series[symbol].id)) for symbol in answers if symbol not in before]
    held = newest_of_each([(symbol, each or NO_REVISIONS) for symbol, each in read])
    return before | {symbol: (each, False) for (symbol, _), each in zip(read, held, strict=True)}


def _diffs(
    connection: Connection,
    answers: Sequence[UpstreamAnswer],
    series: Mapping[str, SeriesMetadata],
) -> list[BarsDiff]:
    """What each answer changes; a bar that is there already at a moment after all recorded ones.

    So whoever knows by when a window was recorded finds it again.
    """
    found = diffs(answers)
    late = [
        (number, series[answers[number].arrays.symbol].id)
        for number, diff in enumerate(found)
        if diff.rows.rows and diff.rows.starts[0] <= answers[number].last_held
    ]
    newest = read_newest_seen(connection, [each for _, each in late]) if late else {}
    for number, each in late:
        answer, seen_at = answers[number], newest.get(each, 0)
        if answer.seen_at <= seen_at:
            (found[number],) = diffs([answer._replace(seen_at=seen_at + 1)])
    return found


def _updated(
    answer: UpstreamBars,
    series: SeriesMetadata,
    held: KnownBars,
    holds_all: bool,
    diff: BarsDiff,
    seen_at: datetime,
) -> StoredBars:
    """The bars of a series once an answer is recorded."""
    updated = answer.updated(series, held, diff, seen_at)
    asked_for = diff.after.from_start(microseconds(updated.asked_from))
    return StoredBars(asked_for, updated, holds_all or answer.asked_from <= updated.asked_from)


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
    view: _View,
) -> dict[str, StoredBars]:
    """The view on what is recorded of each series after the last time that was never asked for."""
    by_id = {each.id: each for each in series}

    def view_asked_for(revisions: Mapping[int, Revisions]) -> Sequence[KnownBars]:
        return view(
            [
                (by_id[number].symbol, each.from_start(microseconds(by_id[number].asked_from)))
                for number, each in revisions.items()
            ]
        )

    held = read_newest(connection, by_id, view_asked_for, bars=bars) if by_id else {}
    return {each.symbol: StoredBars(held[each.id][0], each, held[each.id][1]) for each in series}


def _at(moment: int, bars: int, series: Sequence[tuple[str, Revisions]]) -> list[KnownBars]:
    return [revisions.at(symbol, moment, bars) for symbol, revisions in series]
