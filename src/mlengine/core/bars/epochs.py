"""Moments that are written as numbers: in which unit, decided once for a whole column."""

from collections.abc import Mapping

import polars as pl

from mlengine.core.bars.bars import TIMESTAMP
from mlengine.core.timestamps import EPOCH, POSSIBLE_YEARS
from mlengine.errors import UpstreamInvalid

# Ticks a second.
EPOCH_UNITS: Mapping[str, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

# From 1900 to 2099, in seconds.
_FIRST, _END = -2_208_988_800, 4_102_444_800
# Within a year of 1970 a number may be of any unit, or no moment at all.
_NEAR_1970 = 32_000_000
# Dates whose digits are written as one number.
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_READABLE_SHARE = 0.9
_MICROSECONDS = 10**6


def epoch_timestamps(numbers: pl.Series, *, unit: str | None = None) -> pl.Series:
    """A column of numbers as moments in UTC; null what is none, and what is out of 1900 to 2099.

    `unit` is a key of EPOCH_UNITS, or None: then one unit holds for the whole column, the one in
    which its numbers are plausible. Dates written as one number (20240102, also with hours,
    minutes and seconds) are read as dates. A column that goes over from one unit to another is read
    where its moments are in order. Near 1970 nothing is read unless the column goes further back:
    it would be another unit, or garbage. Raises UpstreamInvalid when no unit is plausible, or
    several are and the moments are not in order.
    """
    numbers = numbers.cast(pl.Float64 if numbers.dtype.is_float() else pl.Int64, strict=False)
    known = numbers.drop_nulls()
    if known.is_empty():
        return pl.Series(numbers.name, [None] * numbers.len(), dtype=TIMESTAMP)
    if unit is not None:
        return _in_unit(numbers, unit)
    dates = digit_dates(numbers)
    if dates is not None:
        return dates
    plausible = {unit: _is_plausible(numbers, ticks) for unit, ticks in EPOCH_UNITS.items()}
    units = [unit for unit, rows in plausible.items() if rows.any()]
    if not units:
        raise UpstreamInvalid(
            f"its times are numbers, such as {known[0]:.17g}, that are no moment in "
            f"{', '.join(EPOCH_UNITS)}, nor dates"
        )
    if len(units) == 1:
        moments = _in_unit(numbers, units[0])
        goes_back = bool((known < 0).any())
        return moments if goes_back else _only_where(moments, plausible[units[0]])
    return _in_order(numbers, {unit: plausible[unit] for unit in units})


def _in_order(numbers: pl.Series, plausible: Mapping[str, pl.Series]) -> pl.Series:
    """Each number in its own unit, if the moments are in order and no unit comes again."""
    by_unit = [
        pl.select(
            moment=_only_where(_in_unit(numbers, unit), rows), unit=pl.when(rows).then(pl.lit(unit))
        )
        for unit, rows in plausible.items()
    ]
    table = pl.select(
        pl.coalesce([part[name] for part in by_unit]).alias(name) for name in ("moment", "unit")
    )
    moments, units = table.drop_nulls()
    in_order = moments.is_sorted() or moments.is_sorted(descending=True)
    if in_order and (moments > EPOCH).all() and units.rle().len() == len(plausible):
        return table["moment"]
    examples = ", ".join(f"{numbers.filter(rows)[0]:.17g}" for rows in plausible.values())
    raise UpstreamInvalid(f"its times are numbers of several units, such as {examples}")


def _is_plausible(numbers: pl.Series, ticks: int) -> pl.Series:
    """Which numbers are moments from 1900 to 2099, and not near 1970."""
    return _is_possible(numbers, ticks) & (numbers.abs() >= _NEAR_1970 * ticks)


def _is_possible(numbers: pl.Series, ticks: int) -> pl.Series:
    possible = numbers.is_between(_FIRST * ticks, _END * ticks, closed="left")
    return (possible & (numbers != 0)).fill_null(value=False)


def _in_unit(numbers: pl.Series, unit: str) -> pl.Series:
    ticks = EPOCH_UNITS[unit]
    possible = _only_where(numbers, _is_possible(numbers, ticks))
    if ticks > _MICROSECONDS:
        microseconds = possible // (ticks // _MICROSECONDS)
    else:
        microseconds = possible * (_MICROSECONDS // ticks)
    if microseconds.dtype.is_float():
        microseconds = microseconds.round()
    return microseconds.cast(pl.Int64).cast(TIMESTAMP)


def digit_dates(numbers: pl.Series) -> pl.Series | None:
    """As moments in UTC, where nearly all numbers are dates written with one number of digits."""
    needed = _READABLE_SHARE * (numbers.len() - numbers.null_count())
    for digits, form in _DIGITS.items():
        of_length = numbers.is_between(10 ** (digits - 1), 10**digits, closed="left")
        whole = (of_length & (numbers == numbers.cast(pl.Int64, strict=False))).fill_null(
            value=False
        )
        if whole.sum() < needed:
            continue
        texts = _only_where(numbers, whole).cast(pl.Int64).cast(pl.String)
        moments = texts.str.strptime(pl.Datetime("us", "UTC"), form, strict=False)
        moments = only_possible(moments)
        if moments.len() - moments.null_count() >= needed:
            return moments.cast(TIMESTAMP)
    return None


def only_possible(moments: pl.Series) -> pl.Series:
    """Moments or local times of 1900 to 2099, null in all other rows."""
    numbers = moments.to_physical()
    ends = pl.Series([numbers.min(), numbers.max()], dtype=numbers.dtype).cast(moments.dtype)
    if _are_possible(ends).all():  # the year of each would take longer than all else of reading
        return moments
    return _only_where(moments, _are_possible(moments))


def _are_possible(moments: pl.Series) -> pl.Series:
    return moments.dt.year().is_between(*POSSIBLE_YEARS)


def _only_where(values: pl.Series, rows: pl.Series) -> pl.Series:
    """`values`, null in all other rows."""
    return values.zip_with(rows, pl.Series([None], dtype=values.dtype))
