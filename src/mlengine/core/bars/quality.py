"""The quality of one symbol's bars, measured, and the rules that call it suspect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

import numpy as np

from mlengine.core.arrays import Flags, Floats
from mlengine.core.bars.bars import AffectedCandle, CleanBars
from mlengine.core.bars.holes import Gaps, Hole, find_gaps
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.jumps import Jump, are_calm, find_jumps, repeat_a_bar
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.hours import WITHOUT_HOLIDAYS
from mlengine.core.calendars.inference import infer_calendar
from mlengine.core.calendars.market import Market

# Real files lose up to 2 % of their rows to nulls and repeated headers.
MAX_DROPPED_SHARE = 0.05
# Of a table that is mostly lost the rest is an accident.
REFUSED_DROPPED_SHARE = 0.5
# A calendar of an exchange, or of trade around the clock, knows all closures but halts.
MAX_MISSING_SHARE = 0.05
# `weekdays` knows no holidays: 4 % of a year in New York, 7 % in Tokyo, 12 % of months in Shanghai.
MAX_MISSING_WEEKDAYS_SHARE = 0.15
MAX_OUTSIDE_SHARE = 0.2  # trade before and after the session comes beside its own bars
# Fewer bars can't be a share of anything.
MIN_MISSING_BARS = 3
# A series that lacks so many bars in a row on most days is traded now and then; none are lost.
THIN_USUAL_GAP = 5
# So many bars without any volume, of a series that has some before: the feed lost it.
VOLUME_BARS = 20
# Rows that are no loss: they come with time, stand beside the row of their day, or before all bars.
_NO_LOSS = ("unfinished", "off_grid", "not_listed")
_MOST_LISTED = 10
# Weeks of minutes and years of days show how a series trades.
_SERIES_BARS = 5_000

# All but `hole_in_history` can be of a window, and so of a prediction.
SUSPECT_REASONS = frozenset((
    *("bars_dropped", "bars_missing", "hole_in_window", "hole_in_history"),
    *("unexplained_jump", "repeated_bars", "no_volume"),
))  # fmt: skip

Status = Literal["ok", "suspect", "refused"]


@dataclass(frozen=True)
class SeriesQuality:
    """What is known of one series; shares are of the rows read and of the bars expected.

    `holes` and `jumps` have the newest ten; `labels_across_holes` counts the bars whose label
    would span a hole. `reasons` say why the status is not `ok`. `missed_bars` are those that were
    expected since the newest. `revised_bars` is what the bar store says, where it was asked.
    """

    symbol: str
    interval: str
    status: Status
    reasons: Sequence[str]
    read: int = 0
    accepted: int = 0
    mended: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, AffectedCandle] = field(default_factory=dict)
    dropped_share: float = 0.0
    calendar: str | None = None
    calendar_is_inferred: bool = True
    missing_bars: int = 0
    missing_share: float = 0.0
    hole_count: int = 0
    holes: Sequence[Hole] = ()
    labels_across_holes: int = 0
    jump_count: int = 0
    jumps: Sequence[Jump] = ()
    zero_volume_share: float = 0.0
    first: datetime | None = None
    last: datetime | None = None
    missed_bars: int = 0
    currency: str | None = None
    revised_bars: int | None = None
    error: str | None = None


def refused(symbol: str, interval: str, error: str) -> SeriesQuality:
    """Of a symbol whose bars can't be had at all."""
    return SeriesQuality(symbol, interval, "refused", (), error=error)


def assess(
    symbol: str,
    bars: CleanBars,
    *,
    interval: str,
    market: Market,
    window_bars: int,
    label_bars: int,
    now: datetime,
) -> SeriesQuality:
    """Measure a series of final bars; without a calendar by the one that its bars suggest.

    Nothing is missing before the market's first day or after its last one.
    """
    arrays, report = bars.arrays, bars.report
    unusable = SeriesQuality(
        *(symbol, interval, "refused", ("bars_dropped",)),
        read=report.rows_read,
        accepted=arrays.rows,
        mended=report.mended,
        dropped=report.dropped,
        examples=report.examples,
        dropped_share=_dropped_share(bars),
        currency=market.currency,
    )
    if not (arrays.rows or report.rows_read or report.dropped):
        return replace(unusable, reasons=(), error="there are no bars of it")
    if not arrays.rows or unusable.dropped_share > REFUSED_DROPPED_SHARE:
        return unusable
    step = INTERVALS[interval]
    by = market.calendar or infer_calendar(arrays.starts, step)
    gaps, jumps = find_gaps(arrays.starts, step, by), find_jumps(arrays)
    holes, gaps = gaps.holes(), gaps.while_listed(market.first, market.last)
    reasons = _reasons(bars, _gap_reasons(by, gaps, window_bars), jumps)
    return replace(
        unusable,
        status="suspect" if reasons else "ok",
        reasons=reasons,
        calendar=by.name,
        calendar_is_inferred=market.calendar is None,
        missing_bars=gaps.missing_bars,
        missing_share=_missing_share(gaps),
        hole_count=len(holes),
        holes=holes[-_MOST_LISTED:],
        labels_across_holes=int(gaps.labels_across(label_bars).sum()),
        jump_count=len(jumps),
        jumps=jumps[-_MOST_LISTED:],
        zero_volume_share=float((arrays.values[4] == 0).mean()),
        first=arrays.slice(0, 1).last_timestamp,
        last=arrays.last_timestamp,
        missed_bars=by.bars_missed(arrays.last_timestamp, min(now, market.ends_at or now), step),
    )


def suspect_reasons(
    bars: CleanBars,
    window_bars: int,
    *,
    interval: str,
    market: Market,
    has_usual_values: bool = False,
) -> tuple[str, ...]:
    """Why the last `window_bars` are suspect; those before show what is usual for the series.

    `has_usual_values` is what `have_usual_values` says of them.
    """
    arrays = bars.arrays
    if not arrays.rows:
        return ()
    starts = arrays.starts[-_SERIES_BARS:].tobytes()
    listed = (market.first, market.last)
    gap_reasons = _window_gap_reasons(
        starts, INTERVALS[interval], market.calendar, listed, window_bars
    )
    if has_usual_values and not bars.report.dropped:
        return gap_reasons
    window = arrays.slice(max(0, arrays.rows - window_bars), arrays.rows)
    return _reasons(CleanBars(window, bars.report), gap_reasons, find_jumps(window))


def have_usual_values(windows: Floats) -> Flags:
    """In which windows of bars, (windows, 5, rows), neither price nor volume is a reason.

    In one pass over all. False says that one has to be looked at alone.
    """
    has_volume = windows[:, 4, -VOLUME_BARS:].any(axis=1)
    return are_calm(windows) & has_volume & ~repeat_a_bar(windows)


@lru_cache(maxsize=64)
def _window_gap_reasons(
    starts: bytes,
    step: timedelta,
    calendar: Calendar | None,
    listed: tuple[date | None, date | None],
    window_bars: int,
) -> tuple[str, ...]:
    """Cached, for the symbols of one market have bars at the same times; `starts` are int64."""
    moments = np.frombuffer(starts, np.int64)
    by = calendar or infer_calendar(moments, step)
    gaps = find_gaps(moments, step, by).while_listed(*listed)
    reasons = _gap_reasons(by, gaps.tail(window_bars), window_bars)
    # A window within a day lacks no bar of a session that it stands beside.
    if gaps.is_shifted and _is_missing(by, gaps):
        return tuple(dict.fromkeys(("bars_missing", *reasons)))
    return reasons


def _reasons(
    bars: CleanBars, gap_reasons: tuple[str, ...], jumps: Sequence[Jump]
) -> tuple[str, ...]:
    dropped = _dropped_share(bars) > MAX_DROPPED_SHARE
    return (
        *(("bars_dropped",) if dropped else ()),
        *gap_reasons,
        *(("unexplained_jump",) if jumps else ()),
        *(("repeated_bars",) if repeat_a_bar(bars.arrays.values[None])[0] else ()),
        *(("no_volume",) if _lost_its_volume(bars.arrays.values[4]) else ()),
    )


def _gap_reasons(calendar: Calendar, gaps: Gaps, window_bars: int) -> tuple[str, ...]:
    """Those of what is missing between bars."""
    in_window = bool(gaps.is_hole[-max(window_bars - 1, 1) :].any())
    applies = {
        "bars_missing": _is_missing(calendar, gaps),
        "hole_in_window": in_window,
        "hole_in_history": not in_window and bool(gaps.is_hole.any()),
    }
    return tuple(reason for reason, applied in applies.items() if applied)


def _is_missing(calendar: Calendar, gaps: Gaps) -> bool:
    """Whether more bars are missing than closures and few trades explain."""
    longest = MAX_MISSING_WEEKDAYS_SHARE if calendar.name in WITHOUT_HOLIDAYS else MAX_MISSING_SHARE
    missing = gaps.missing_bars >= MIN_MISSING_BARS and _missing_share(gaps) > longest
    # Where they stand outside of the sessions instead, as those of a wrong zone, none are thin.
    is_thin = gaps.usual >= THIN_USUAL_GAP and not gaps.is_shifted
    return missing and not (is_thin and calendar.outside_share(gaps.starts) <= MAX_OUTSIDE_SHARE)


def _dropped_share(bars: CleanBars) -> float:
    """Of the rows of the answer, or of all bars where it brought only the newest of them."""
    report = bars.report
    lost = sum(n for reason, n in report.dropped.items() if reason not in _NO_LOSS)
    return lost / max(report.rows_read, bars.arrays.rows, 1)


def _missing_share(gaps: Gaps) -> float:
    return gaps.missing_bars / (gaps.missing_bars + len(gaps.starts))


def _lost_its_volume(volumes: Floats) -> bool:
    before = volumes[:-VOLUME_BARS]
    ended = len(before) >= VOLUME_BARS and not volumes[-VOLUME_BARS:].any()
    return bool(ended and np.median(before) > 0)
