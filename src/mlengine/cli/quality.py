"""The quality of bars as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlengine.cli.output import format_cell, table

if TYPE_CHECKING:
    from mlengine.core.bars.quality import SeriesQuality

# Fewer are late where a holiday is not known, or a service takes its time.
_LATE_BARS = 3
_WITHOUT_HOURS = ("weekdays", "sunday-thursday")
_LONG = ("1d", "1w")
_HEADERS = [
    "symbol",
    "status",
    "bars",
    "dropped",
    "missing",
    "holes",
    "jumps",
    "no volume",
    "last",
    "late",
    "calendar",
    "currency",
]


def quality_text(series: Sequence[SeriesQuality], files: Sequence[tuple[str, str]]) -> str:
    """A table of all symbols, then what is wrong with each, then the files that can't be used."""
    lines = [table(_HEADERS, [_row(each) for each in series])]
    lines += [f"{each.symbol}: {fault}" for each in series for fault in _faults(each)]
    lines += [f"{name}: {reason}" for name, reason in files]
    return "\n".join(lines)


def _row(quality: SeriesQuality) -> list[object]:
    calendar = quality.calendar
    return [
        quality.symbol,
        quality.status,
        quality.accepted,
        f"{quality.dropped_share:.1%}",
        f"{quality.missing_share:.1%}",
        quality.hole_count,
        quality.jump_count,
        f"{quality.zero_volume_share:.1%}",
        quality.last,
        quality.missed_bars if _has_hours(quality) else None,
        f"{calendar} (inferred)" if calendar and quality.calendar_is_inferred else calendar,
        quality.currency,
    ]


def _has_hours(quality: SeriesQuality) -> bool:
    """Whether it is known when a bar of today is due: bars suggest weekdays, but no hours."""
    suggested = quality.calendar_is_inferred and quality.calendar in _WITHOUT_HOURS
    return not suggested or quality.interval in _LONG


def _faults(quality: SeriesQuality) -> list[str]:
    faults = [", ".join(quality.reasons)] if quality.reasons else []
    faults += [quality.error] if quality.error else []
    if quality.last and quality.missed_bars >= _LATE_BARS and _has_hours(quality):
        since = format_cell(quality.last)
        faults.append(f"{quality.missed_bars} bars that were expected since {since} are not there")
    for reason, example in quality.examples.items():
        count = quality.dropped.get(reason) or quality.mended.get(reason)
        place = ", ".join(
            part
            for part in (example.file, f"line {example.line}" if example.line else None)
            if part
        )
        where = f", first in {place}" if place else ", first"
        row = f", in the row {example.row!r}" if example.row else ""
        faults.append(f"{reason} {count}{where}: {example.column} {example.value}{row}")
    for hole in quality.holes:
        span = f"{format_cell(hole.start)} to {format_cell(hole.end)}"
        faults.append(f"hole of {hole.missing_bars} bars from {span}")
    for jump in quality.jumps:
        faults.append(f"{jump.kind} of {jump.ratio:.4g} at {format_cell(jump.timestamp)}")
    return faults
