"""What the bar store takes and gives: an answer of the upstream, and the bars of a series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

import orjson

from mlengine.core.bars.bars import NO_BARS, BarArrays, BarsReport
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.recorded import BarsDiff, KnownBars
from mlengine.core.bars.recorded_panel import UpstreamAnswer
from mlengine.core.frozen import frozen_by_types
from mlengine.core.monitoring.event import Event
from mlengine.core.serialization import from_plain
from mlengine.core.timestamps import EPOCH, microseconds
from mlengine.errors import DamagedRow
from mlengine.stores.bars.series import SeriesMetadata
from mlengine.stores.database.engine import parse_column


@frozen_by_types
@dataclass(frozen=True, eq=False)
class StoredBars:
    """Bars of a series from some bar on; from its first one on where it `holds_all_recorded`.

    With the values of today, unless they are `of_the_past`.
    """

    held: KnownBars
    series: SeriesMetadata
    holds_all_recorded: bool
    of_the_past: bool = False

    @property
    def entire_history(self) -> bool:
        """Whether these are all bars that the upstream has."""
        return self.holds_all_recorded and self.series.asked_from == EPOCH

    def of_series(self, current: SeriesMetadata) -> StoredBars:
        """The bars with what is known of their series now; the same object where nothing is new."""
        return self if self.series == current else replace(self, series=current)

    def suffices(self, bars: int) -> bool:
        """Whether they hold the newest `bars` bars (0: all), or as many as there are."""
        return self.entire_history or 0 < bars <= self.held.arrays.rows

    def is_older_than(self, other: StoredBars) -> bool:
        """Whether rows were added to the series before `other` was read of it."""
        ours, theirs = self.series, other.series
        return ours.id == theirs.id and ours.recordings < theirs.recordings

    def window_recorded_by(self, first: int, end: int) -> int | None:
        """By when these bars were recorded as they are; None where later rows may change that.

        Whatever revises one of them is recorded at a later moment.
        """
        if self.of_the_past:
            return None
        return max(int(self.held.first_seen[first:end].max(initial=0)), self.held.revised_at)

    def covers(self, start: datetime, current: SeriesMetadata) -> bool:
        """Whether they are all that is recorded from `start` on."""
        starts = self.held.arrays.starts
        return (
            self.series.recordings == current.recordings
            and len(starts) > 0
            and int(starts[0]) <= microseconds(start) <= int(starts[-1])
        )


@frozen_by_types
@dataclass(frozen=True, eq=False)
class UpstreamBars:
    """All bars of a symbol from `asked_from` on, as the upstream gave them just now.

    `arrays.known_at` is when each was final, `report` is on their candles. `base` is what was
    recorded before, where that is in memory. `is_tail_refetch` where only the last bars of that
    were asked for again, `is_full_refetch` where all were: where its first bars are revised then,
    older ones are of other prices.
    """

    arrays: BarArrays
    asked_from: datetime
    expires_at: datetime
    report: BarsReport = NO_BARS.report
    base: StoredBars | None = None
    is_tail_refetch: bool = False
    is_full_refetch: bool = False

    def beside(
        self, held: KnownBars, series: SeriesMetadata, interval: str, seen_at: datetime
    ) -> UpstreamAnswer:
        """The answer beside what is held, for `diffs` to compare.

        Where nobody looked for longer than an interval, nobody can say when a bar came: it counts
        as known from when it was final, or from when answers could lack it no more. That of the
        moment itself lacked it, whether or not it was kept.
        """
        lacked_until = max(microseconds(series.served_until), microseconds(series.fetched_at) + 1)
        unwatched = seen_at - series.served_until > INTERVALS[interval]
        return UpstreamAnswer(
            held,
            self.arrays,
            seen_at=microseconds(max(seen_at, series.fetched_at)),
            asked_from=microseconds(series.asked_from),
            known_from=lacked_until if unwatched else None,
            is_of_all=self.is_full_refetch,
        )

    def updated(
        self, series: SeriesMetadata, held: KnownBars, diff: BarsDiff, seen_at: datetime
    ) -> SeriesMetadata:
        """The series once `diff` is made to what is `held` of it.

        It begins anew with the answer where that does not adjoin, or all of it is of other prices.
        """
        revised = (
            self.is_full_refetch and diff.revised and diff.rows.starts[0] <= self.arrays.starts[0]
        )
        anew = revised or (series.recordings > 0 and not held.arrays.rows)
        return SeriesMetadata(
            series.id,
            series.symbol,
            self.asked_from if anew else min(series.asked_from, self.asked_from),
            max(seen_at, series.fetched_at),
            self.expires_at,
            max(self.expires_at, series.served_until),
            series.recordings + bool(diff.rows.rows),
            self._report_with(series.report),
            series.revised_bars + diff.revised,
        )

    def _report_with(self, earlier: str | None) -> str | None:
        """The report on the series, as JSON; None where there is nothing to report."""
        if earlier is None or not self.is_tail_refetch:
            return _dumped(self.report)
        return _dumped(_joined(loaded_report(earlier), self.report))


@dataclass(frozen=True)
class Recorded:
    """The bars of each symbol once an answer is recorded; how many were new, and revised."""

    bars: Mapping[str, StoredBars]
    new: int
    revised: Mapping[str, int]


def revision_event(revised: Mapping[str, int], interval: str, now: datetime) -> Event:
    """That so many bars of each symbol were revised."""
    details = {"interval": interval, "bars": sum(revised.values()), "symbols": dict(revised)}
    return Event(kind="bars_revised", at=now, version=None, actor=None, details=details)


def loaded_report(text: str | None, *, accepted: int = 0) -> BarsReport:
    """The report of a series, of which so many bars are at hand; raises DamagedRow."""
    if text is None:
        return _report_of_good_bars(accepted)
    try:
        return from_plain(BarsReport, {**parse_column(text), "accepted": accepted})
    except (ValueError, TypeError):
        raise DamagedRow from None


@lru_cache(maxsize=1_024)
def _report_of_good_bars(accepted: int) -> BarsReport:
    return BarsReport(accepted, {}, {}) if accepted else NO_BARS.report


def _dumped(report: BarsReport) -> str | None:
    if not report.mended and not report.dropped:
        return None
    values = {name: getattr(report, name) for name in ("mended", "dropped", "examples")}
    return orjson.dumps(values).decode()


def _joined(report: BarsReport, tail: BarsReport) -> BarsReport:
    """The report on all candles once more have come; a few of them were there before."""
    return BarsReport(
        0,
        _most(report.mended, tail.mended),
        _most(report.dropped, tail.dropped),
        {**tail.examples, **report.examples},
    )


def _most(before: Mapping[str, int], tail: Mapping[str, int]) -> dict[str, int]:
    reasons = [*before, *(reason for reason in tail if reason not in before)]
    return {reason: max(before.get(reason, 0), tail.get(reason, 0)) for reason in reasons}
