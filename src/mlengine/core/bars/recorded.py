"""Bars with all their revisions: what is new in an answer, and what was known at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from mlengine.core.arrays import Flags, Floats, Moments
from mlengine.core.bars.bars import NO_BARS, VALUES, BarArrays
from mlengine.core.frozen import frozen_by_types

_ALWAYS = np.iinfo(np.int64).max
_FIRST_BARS = 5  # of an answer; one of them may have been mended alone


class RecordedWindow(NamedTuple):
    """The last `rows` bars of a series up to the one that begins at `last_start`.

    With the values that were recorded by the moment `recorded_by`; moments in microseconds.
    """

    symbol: str
    interval: str
    last_start: int
    rows: int
    recorded_by: int


@frozen_by_types
@dataclass(frozen=True, eq=False)
class Revisions:
    """Rows of one series by start, then by when they were seen; moments in microseconds.

    A row without values (NaN) says that the upstream took the bar back.
    """

    starts: Moments
    values: Floats
    known_at: Moments
    seen_at: Moments

    @classmethod
    def joined(cls, parts: Sequence[Revisions]) -> Revisions:
        """The rows of all parts, of which there must be one and each is in order, in order."""
        if len(parts) == 1:
            return parts[0]
        starts = np.concatenate([part.starts for part in parts])
        seen_at = np.concatenate([part.seen_at for part in parts])
        order = np.lexsort((seen_at, starts))
        return cls(
            starts[order],
            np.concatenate([part.values for part in parts], axis=1)[:, order],
            np.concatenate([part.known_at for part in parts])[order],
            seen_at[order],
        )

    @classmethod
    def observed(cls, starts: Moments, values: Floats, known_at: Moments, seen_at: int) -> Self:
        """Rows that were all seen at one moment."""
        return cls(starts, values, known_at, np.repeat(seen_at, len(starts)))

    @classmethod
    def tombstones(cls, starts: Moments, seen_at: int) -> Self:
        """Rows that say that bars are gone."""
        nothing = np.full((len(VALUES), len(starts)), np.nan)
        return cls.observed(starts, nothing, np.full_like(starts, seen_at), seen_at)

    @property
    def rows(self) -> int:
        return len(self.starts)

    def slice(self, first: int, end: int) -> Revisions:
        at = slice(first, end)
        return Revisions(self.starts[at], self.values[:, at], self.known_at[at], self.seen_at[at])

    def from_start(self, start: int) -> Revisions:
        """The rows of the bars that begin at `start` or later."""
        if not len(self.starts) or self.starts[0] >= start:
            return self
        return self.slice(int(self.starts.searchsorted(start)), self.rows)

    def newest(self, symbol: str) -> KnownBars:
        """The bars as they are now."""
        return self._view(symbol, _ALWAYS, _ALWAYS)

    def at(self, symbol: str, moment: int, bars: int) -> KnownBars:
        """The newest `bars` bars (0: all) that were known at `moment`.

        With the values that they had then. Where a bar was seen later only, with the values of
        the first moment at which all of them had been seen: no window mixes prices from before
        and after an adjustment.
        """
        seen_by = moment
        while True:
            view = self._view(symbol, moment, seen_by).tail(bars)
            covering = max(moment, int(view.first_seen.max(initial=moment)))
            if covering == seen_by:
                return view
            seen_by = covering

    def window(self, window: RecordedWindow) -> BarArrays | None:
        """The bars of a window, None where not all of them are here."""
        end = int(self.starts.searchsorted(window.last_start, side="right"))
        kept = np.flatnonzero(self.seen_at[:end] <= window.recorded_by)
        rows = Revisions(
            self.starts[kept], self.values[:, kept], self.known_at[kept], self.seen_at[kept]
        )
        bars = rows.newest(window.symbol).tail(window.rows).arrays
        is_whole = bars.rows == window.rows > 0 and int(bars.starts[-1]) == window.last_start
        return bars if is_whole else None

    def _view(self, symbol: str, moment: int, seen_by: int) -> KnownBars:
        """The bars known at `moment`, each as it had been seen by `seen_by`.

        A bar that is seen later still, and counts as known at `moment`, stands in with its first
        values.
        """
        firsts = self._firsts
        if (
            firsts.all()
            and not (self.known_at > moment).any()
            and not np.isnan(self.values[0]).any()
        ):
            arrays = BarArrays(symbol, self.starts, self.values, self.known_at)
            return KnownBars(arrays, self.seen_at, _last_out_of_order(self.known_at))
        within = np.flatnonzero(np.logical_or(self.seen_at <= seen_by, firsts))
        bar = self._bar[within]
        last = within[np.append(bar[1:] != bar[:-1], True)] if len(within) else within
        first = np.flatnonzero(firsts)
        chosen = (self.known_at[first] <= moment) & ~np.isnan(self.values[0, last])
        first, last = first[chosen], last[chosen]
        known_at = self.known_at[first]
        arrays = BarArrays(symbol, self.starts[first], self.values[:, last], known_at)
        later = self.seen_at[~firsts]
        revised_at = max(int(later.max(initial=0)), _last_out_of_order(known_at))
        return KnownBars(arrays, self.seen_at[first], revised_at)

    @cached_property
    def _firsts(self) -> Flags:
        """Which rows are the first of their bar."""
        return np.append(True, self.starts[1:] != self.starts[:-1])[: self.rows]

    @cached_property
    def _bar(self) -> Moments:
        """The number of each row's bar."""
        return np.cumsum(self._firsts)


class BarsDiff(NamedTuple):
    """What an answer adds: its rows, how many are of new and of revised bars, and the bars then."""

    rows: Revisions
    new: int
    revised: int
    after: KnownBars


@frozen_by_types
@dataclass(frozen=True, eq=False)
class KnownBars:
    """Bars of a series from some start on, one row each; `arrays.known_at` is that of the first.

    `first_seen` is when each was first seen, `revised_at` when a bar last changed, vanished or came
    out of order, 0 for never.
    """

    arrays: BarArrays
    first_seen: Moments
    revised_at: int

    def tail(self, bars: int) -> KnownBars:
        """The newest `bars` of them, all with 0."""
        rows = self.arrays.rows
        if not 0 < bars < rows:
            return self
        arrays = self.arrays.slice(rows - bars, rows)
        return KnownBars(arrays, self.first_seen[-bars:], self.revised_at)

    def from_start(self, start: int) -> KnownBars:
        """Those that begin at `start` or later."""
        starts = self.arrays.starts
        if not len(starts) or starts[0] >= start:
            return self
        first = int(starts.searchsorted(start))
        arrays = self.arrays.slice(first, self.arrays.rows)
        return KnownBars(arrays, self.first_seen[first:], self.revised_at)

    def latest_first_seen(self, first: int, end: int) -> int:
        """When the last of these bars was seen for the first time."""
        oldest, newest = self._seen_between
        if oldest == newest and first < end:
            return newest
        return int(self.first_seen[first:end].max(initial=0))

    @cached_property
    def _seen_between(self) -> tuple[int, int]:
        """When the first and when the last of all bars was seen; most were at one moment."""
        if not len(self.first_seen):
            return 0, 0
        return int(self.first_seen.min()), int(self.first_seen.max())

    def revised_by(
        self, answer: BarArrays, known_at: Moments, seen_at: int, *, is_of_all: bool
    ) -> BarsDiff:
        """The change of an answer that has other bars or values; see `UpstreamAnswer`."""
        ours = self.arrays
        at = np.searchsorted(ours.starts, answer.starts)
        there = at < ours.rows
        there[there] = ours.starts[at[there]] == answer.starts[there]
        changed = there.copy()
        changed[there] = (ours.values[:, at[there]] != answer.values[:, there]).any(axis=0)
        gone = ours.starts >= answer.starts[0]
        if there[-1] and not changed[-1]:
            gone &= ours.starts <= answer.starts[-1]
        gone[at[there]] = False
        if is_of_all and there.any() and changed[there][:_FIRST_BARS].all():
            gone |= ours.starts < answer.starts[0]
        written = ~there | changed
        # A bar that changes is known from the change on in its new form only.
        known_at[changed] = seen_at
        rows = Revisions.joined(
            [
                Revisions.observed(
                    answer.starts[written], answer.values[:, written], known_at[written], seen_at
                ),
                Revisions.tombstones(ours.starts[gone], seen_at),
            ]
        )
        before = Revisions(ours.starts, ours.values, ours.known_at, self.first_seen)
        held = Revisions.joined([before, rows]).newest(answer.symbol)
        revised = int(changed.sum() + gone.sum())
        after = replace(held, revised_at=max(self.revised_at, held.revised_at))
        return BarsDiff(rows, int((~there).sum()), revised, after)


NOTHING_HELD = KnownBars(NO_BARS.arrays, np.empty(0, "<i8"), 0)
NO_REVISIONS = Revisions.tombstones(np.empty(0, "<i8"), 0)


def _last_out_of_order(known_at: Moments) -> int:
    """The last moment at which a bar was known after a later bar; 0 where there is none."""
    if not (known_at[:-1] > known_at[1:]).any():
        return 0
    later = np.minimum.accumulate(known_at[::-1])[::-1]
    return int(known_at[:-1][known_at[:-1] > later[1:]].max(initial=0))
