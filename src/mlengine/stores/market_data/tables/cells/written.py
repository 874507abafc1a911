"""Columns of moments as people write them, read format by format and never row by row."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from mlengine.stores.market_data.tables.cells.date_order import (
    day_stands_first,
    refuse_other_order,
)
from mlengine.stores.market_data.tables.table import LocalTimes, constant

_MOMENT = re.compile(
    r"""
    (?P<date>
        (?P<year_first>\d{4}(?P<s1>[-/.])\d{1,2}(?P=s1)\d{1,2})
      | (?P<compact>\d{8})
      | (?P<year_last>\d{1,2}(?P<s2>[-/.])\d{1,2}(?P=s2)\d{4})
      | (?P<named_first>[A-Za-z]{3,9}\ \d{1,2}(?P<comma>,?)\ \d{4})
      | (?P<named_second>\d{1,2}(?P<s3>[-\ ]?)[A-Za-z]{3,9}(?P=s3)\d{4})
    )
    (?:
        (?P<join>T|D|:|\ +|-|,\ )
        (?: (?P<colons>\d{1,2}:\d\d(?P<seconds>:\d\d(?P<fraction>\.\d+)?)?)
          | (?P<digits>\d{6}|\d{4}) )
        (?P<half>\ ?[AaPp][Mm]\b)?
    )?
    (?P<zone>\ *(?:[Zz]|[+-]\d\d(?::?\d\d)?(?::\d\d)?|(?:GMT|UTC)[+-]\d\d:\d\d
      |[A-Za-z][A-Za-z0-9_/+-]*)(?:\[[A-Za-z0-9_/+-]+\])?)?
    """,
    re.VERBOSE | re.ASCII,
)
# The end of a day, which ISO 8601 also writes so.
_DAY_END = r"^(.*[T ,-])24(:?00(?::?00(?:\.0+)?)?)$"
# `Tue, 2 Jan 2024`
_WEEKDAY = "^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? +"
_SAMPLE_ROWS = 16
_MOST_FORMATS = 24


@dataclass(frozen=True)
class _Format:
    """How a moment is written: the pattern of its first `width` characters; a zone follows them."""

    pattern: str
    width: int
    has_clock: bool
    has_zone: bool
    year_last: bool

    def with_order(self, *, day_first: bool) -> str:
        first, second = ("%d", "%m") if day_first else ("%m", "%d")
        return self.pattern.replace("%1", first).replace("%2", second)


def written_times(
    texts: pl.Series, date_format: str | None, *, day_first: bool | None
) -> tuple[LocalTimes, bool | None]:
    """The times of texts, and whether dates such as 03/04/2026 begin with the day.

    The whole column decides that; raises CellRefused where it does not.
    """
    texts = texts.str.strip_chars()
    if date_format:
        return _parse_stated(texts, date_format), day_first
    if texts.drop_nulls().head(_SAMPLE_ROWS).str.contains(_WEEKDAY).any():
        texts = texts.str.replace(_WEEKDAY, "")
    formats = Counter(_formats(texts.drop_nulls().head(_SAMPLE_ROWS)))
    usual = max(formats, key=formats.__getitem__, default=None)
    if usual is None or (usual.year_last and day_first is None):
        times = LocalTimes(constant(None, pl.Datetime("us"), len(texts)))
    else:
        times = _read(texts, usual, day_first=bool(day_first))
    if times.local.null_count() == texts.null_count():
        return times, day_first
    rows = (texts.is_not_null() & times.local.is_null()).arg_true()
    further, day_first = _by_shape(texts.gather(rows), rows, day_first=day_first)
    merged = _merged(times, rows, further)
    refuse_other_order(texts, merged.local)
    return merged, day_first


def _by_shape(
    texts: pl.Series, rows: pl.Series, *, day_first: bool | None
) -> tuple[LocalTimes, bool | None]:
    """The times of texts in several formats; `rows` is where they stand in their column."""
    texts = texts.str.replace(r"\bSept\b", "Sep")
    shapes = texts.str.replace_all("[0-9]", "0")
    by_format: dict[_Format, list[str]] = {}
    for shape in shapes.unique(maintain_order=True):
        if format_ := _format_of(shape):
            by_format.setdefault(format_, []).append(shape)
    formats = list(by_format.items())[:_MOST_FORMATS]
    year_last = [shape for format_, group in formats if format_.year_last for shape in group]
    if year_last and day_first is None:
        day_first = day_stands_first(texts, shapes.is_in(year_last), rows)
    times = LocalTimes(constant(None, pl.Datetime("us"), len(texts)))
    for format_, group in formats:
        mine = shapes.is_in(group).arg_true()
        read = _read(texts.gather(mine), format_, day_first=bool(day_first))
        times = _merged(times, mine, read)
    return times, day_first


def _merged(times: LocalTimes, rows: pl.Series, further: LocalTimes) -> LocalTimes:
    """With those of some rows in place of what is there."""
    zones = times.zones
    if zones is not None or further.zones is not None:
        none = constant(None, pl.String(), len(times.local))
        zones = (none if zones is None else zones).scatter(
            rows, constant(None, pl.String(), len(rows)) if further.zones is None else further.zones
        )
    bare = times.bare
    if isinstance(bare, bool):
        bare = constant(bare, pl.Boolean(), len(times.local))
    local = times.local.scatter(rows, further.local)
    return LocalTimes(local, zones, bare.scatter(rows, further.bare))


def _parse_stated(texts: pl.Series, date_format: str) -> LocalTimes:
    """By that format; of a date also where a time of day follows, from a column of its own."""
    has_clock = _has_clock(date_format)
    times = _parse(texts, date_format, has_clock=has_clock)
    if has_clock or times.local.null_count() < len(texts):
        return times
    parts = texts.str.extract_groups("^(.*) ([^ ]+)$")
    dates = parts.struct.field("1").str.to_date(date_format, strict=False)
    dated = dates.dt.strftime("%Y-%m-%d") + " " + parts.struct.field("2")
    return written_times(dated, None, day_first=None)[0]


def _formats(texts: Iterable[str]) -> Iterable[_Format]:
    return (format_ for text in texts if (format_ := _format_of(text)))


def _format_of(text: str) -> _Format | None:
    match = _MOMENT.fullmatch(text)
    if not match:
        return None
    part = match.groupdict()
    if part["year_first"]:
        pattern = "%Y{0}%m{0}%d".format(part["s1"])
    elif part["compact"]:
        pattern = "%Y%m%d"
    elif part["year_last"]:
        pattern = "%1{0}%2{0}%Y".format(part["s2"])
    elif part["named_first"]:
        pattern = f"%B %d{part['comma']} %Y"
    else:
        pattern = "%d{0}%B{0}%Y".format(part["s3"])
    clock = (part["join"] or "") + _clock(part)
    width = len(text) - len(part["zone"] or "")
    return _Format(pattern + clock, width, bool(clock), bool(part["zone"]), bool(part["year_last"]))


def _clock(part: dict[str, str | None]) -> str:
    if digits := part["digits"]:
        return "%H%M%S" if len(digits) == 6 else "%H%M"
    if not part["colons"]:
        return ""
    half = part["half"]
    pattern = "%I:%M" if half else "%H:%M"
    if part["seconds"]:
        pattern += ":%S"
    if part["fraction"]:
        pattern += "%.f"
    return pattern + (" %p" if half and half.startswith(" ") else "%p" if half else "")


def _read(texts: pl.Series, format_: _Format, *, day_first: bool) -> LocalTimes:
    pattern = format_.with_order(day_first=day_first)
    if not format_.has_zone:
        return _parse(texts, pattern, has_clock=format_.has_clock)
    times = _parse(texts.str.slice(0, format_.width), pattern, has_clock=format_.has_clock)
    # Another row's zone may begin elsewhere: its rest is then no zone, which a later step says.
    zones = texts.str.slice(format_.width).str.strip_chars()
    if zones.str.ends_with("]").any():
        # The name of a zone beside its offset.
        zones = zones.str.replace(r"\[[^\[]*\]$", "")
    return replace(times, zones=zones.set(times.local.is_null(), None))


def _parse(texts: pl.Series, pattern: str, *, has_clock: bool) -> LocalTimes:
    if not has_clock:
        dates = texts.str.to_date(pattern, strict=False)
        return LocalTimes(dates.cast(pl.Datetime("us")), bare=True)
    local = texts.str.to_datetime(pattern, strict=False, time_unit="us", ambiguous="null")
    if isinstance(local.dtype, pl.Datetime) and local.dtype.time_zone is not None:
        zones = constant("Z", pl.String(), len(texts))
        return LocalTimes(local.dt.replace_time_zone(None), zones)
    rows = (local.is_null() & texts.is_not_null()).arg_true()
    if len(rows):
        local = local.scatter(rows, _day_ends(texts.gather(rows), pattern))
    return LocalTimes(local)


def _day_ends(texts: pl.Series, pattern: str) -> pl.Series:
    """The next day's midnight where a text says 24:00, null in all other rows."""
    parts = texts.str.extract_groups(_DAY_END)
    midnights = parts.struct.field("1") + "00" + parts.struct.field("2")
    begun = midnights.str.to_datetime(pattern, strict=False, time_unit="us", ambiguous="null")
    return begun.dt.offset_by("1d")


def _has_clock(pattern: str) -> bool:
    return any(f"%{letter}" in pattern for letter in "HIMSTRX")
