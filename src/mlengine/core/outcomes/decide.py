"""When the outcome of a prediction is known, and when it never will be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from mlengine.core.arrays import Flags
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.holes import Gaps, find_gaps
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.outcomes.labels import Label
from mlengine.core.outcomes.outcome import (
    LATE,
    SCORED,
    VOID,
    LabelTerms,
    Outcome,
    PendingOutcome,
)
from mlengine.core.timestamps import EPOCH

# An answer that comes when so many further bars are known is no answer of its moment.
MOST_BARS_LATE = 2
# Bars of which none comes after the outcome is due, before it is given up.
BARS_OF_PATIENCE = 20
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class SymbolBars:
    """The recorded bars of a symbol, and what is known of its market.

    `ends_at` is when it was traded last, `is_unknown` that the upstream doesn't know it any more.
    """

    bars: BarArrays
    calendar: Calendar
    terms: LabelTerms
    ends_at: datetime | None = None
    is_unknown: bool = False

    @cached_property
    def gaps(self) -> Gaps:
        return find_gaps(self.bars.starts, self.terms.width, self.calendar)

    @cached_property
    def across(self) -> Flags:
        """Of each bar, whether its label leads over a hole; no training has such rows."""
        return self.gaps.labels_across(self.terms.label_bars)

    def row_of(self, bar: datetime) -> int | None:
        """The row of the bar that begins then; None where it is not there (any more)."""
        start = (bar - EPOCH) // _MICROSECOND
        row = int(np.searchsorted(self.bars.starts, start))
        return row if row < self.bars.rows and self.bars.starts[row] == start else None

    def known_at(self, row: int) -> datetime | None:
        """When the bar of that row was known; None where it isn't."""
        if row >= self.bars.rows:
            return None
        return EPOCH + int(self.bars.known_at[row]) * _MICROSECOND


def decide(
    pending: Sequence[PendingOutcome],
    symbol: SymbolBars,
    labels: Mapping[tuple[str, datetime], Label],
    *,
    now: datetime,
) -> Iterator[Outcome]:
    """The outcomes that can be told at `now`; of the others nothing is said.

    As soon as the last bar of its label is there, a prediction is scored. Where a bar is missing
    before that it may be late, and is waited for until one bar after the horizon: then the bars
    count as they are, as in trainings. A label that leads over a hole is void, and so is one whose
    bars never come.
    """
    for each in pending:
        outcome = _decide(each, symbol, labels.get((each.symbol, each.bar_timestamp)), now)
        if outcome is not None:
            yield outcome


def _decide(
    pending: PendingOutcome, symbol: SymbolBars, label: Label | None, now: datetime
) -> Outcome | None:
    row = symbol.row_of(pending.bar_timestamp)
    if row is None:
        return _void(pending, "bar_taken_back") if _is_given_up(pending, symbol, now) else None
    steps = symbol.terms.label_bars
    too_late = symbol.known_at(row + min(MOST_BARS_LATE, steps))
    if too_late is not None and pending.asked_at >= too_late:
        return Outcome(pending.id, LATE, "asked_too_late")
    if row + steps >= symbol.bars.rows:
        return _without_bars(pending, symbol, now)
    is_whole = not symbol.gaps.missing[row : row + steps].any()
    if now < pending.overdue_at and not (is_whole and label is not None and label.is_final):
        return None
    return _void(pending, "label_across_hole") if symbol.across[row] else _scored(pending, label)


def _scored(pending: PendingOutcome, label: Label | None) -> Outcome:
    if label is None:
        return _void(pending, "label_undefined")
    return Outcome(
        pending.id,
        SCORED,
        label=label.label,
        forward_return=label.forward_return,
        last_return=label.last_return,
        label_ends=label.ends,
    )


def _without_bars(pending: PendingOutcome, symbol: SymbolBars, now: datetime) -> Outcome | None:
    if now < pending.overdue_at:
        return None
    if symbol.is_unknown:
        return _void(pending, "unknown_symbol")
    if symbol.ends_at is not None and symbol.ends_at < pending.due_at:
        return _void(pending, "delisted")
    return _void(pending, "no_bars") if _is_given_up(pending, symbol, now) else None


def _is_given_up(pending: PendingOutcome, symbol: SymbolBars, now: datetime) -> bool:
    bars = symbol.terms.label_bars + BARS_OF_PATIENCE
    return now >= known_after(symbol.calendar, pending.bar_timestamp, bars, symbol.terms.width)


def _void(pending: PendingOutcome, reason: str) -> Outcome:
    return Outcome(pending.id, VOID, reason)


def known_after(calendar: Calendar, bar: datetime, bars: int, width: timedelta) -> datetime:
    """When so many bars after `bar` are final by a calendar, or by the clock where that ends."""
    return calendar.elapsed_at(bar, bars, width) or bar + (bars + 1) * width
