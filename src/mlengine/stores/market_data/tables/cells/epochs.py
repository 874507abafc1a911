"""Columns of numbers that stand for moments: epochs of four units, and dates such as 20261127."""

import polars as pl

from mlengine.stores.market_data.tables.table import CellRefused

_SECOND = 1_000_000
# Seconds of 1980 and 2100; each unit's own range, and that of the dates, is apart from all others.
_PLAUSIBLE, _LAST = 315_532_800, 4_102_444_800
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_WRITTEN = {"%Y%m%d": 1, "%Y%m%d%H%M": 10_000, "%Y%m%d%H%M%S": 1_000_000}
_UTC = "Z"


def epoch_moments(
    numbers: pl.Series, unit: str | None, series: pl.Series | None
) -> tuple[pl.DataFrame, str | None]:
    """Columns `local`, `zone` and `bare`, as `written_moments` has them, and the unit of all.

    Without `unit` each number's size decides; where that gives several units, the moments of each
    of the `series` must run in one direction. Raises CellRefused.
    """
    if unit in _WRITTEN:
        return _dates(numbers, unit), unit
    if unit:
        first, last = 0, _LAST * _PER_SECOND[unit]
        local = _at(numbers, unit).set(~numbers.is_between(first, last), None)
        return _moments(local), unit
    units = _units(numbers)
    present = units.drop_nulls().unique().to_list()
    if len(present) == 1 and present[0] in _WRITTEN:
        return _dates(numbers, present[0]), present[0]
    local = pl.repeat(None, len(numbers), dtype=pl.Datetime("us"), eager=True)
    for each in present:
        if each in _WRITTEN:
            raise _mixed(units, numbers)
        local = _at(numbers, each).zip_with((units == each).fill_null(value=False), local)
    if len(present) > 1 and not _run_one_way(local, series):
        raise _mixed(units, numbers)
    return _moments(local), present[0] if len(present) == 1 else None


def _units(numbers: pl.Series) -> pl.Series:
    """By its size, the unit of each number; null what is no likely moment."""
    n = pl.col("n")
    case: list[pl.Expr] = []
    for unit, scale in _PER_SECOND.items():
        likely = n.is_between(_PLAUSIBLE * scale, _LAST * scale)
        case.append(pl.when(likely).then(pl.lit(unit)))
    for pattern, scale in _WRITTEN.items():
        likely = n.is_between(19_000_101 * scale, 21_001_231 * scale + scale - 1)
        case.append(pl.when(likely).then(pl.lit(pattern)))
    return numbers.to_frame("n").select(pl.coalesce(case)).to_series()


def _at(numbers: pl.Series, unit: str) -> pl.Series:
    per_second = _PER_SECOND[unit]
    if per_second >= _SECOND:
        microseconds = numbers // (per_second // _SECOND)
    else:
        microseconds = numbers * (_SECOND // per_second)
    return microseconds.cast(pl.Int64, strict=False).cast(pl.Datetime("us"))


def _dates(numbers: pl.Series, pattern: str) -> pl.DataFrame:
    texts = numbers.cast(pl.Int64, strict=False).cast(pl.String)
    if pattern == "%Y%m%d":
        local = texts.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    else:
        local = texts.str.to_datetime(pattern, strict=False, time_unit="us")
    return _moments(local, zone=None, bare=pattern == "%Y%m%d")


def _moments(local: pl.Series, zone: str | None = _UTC, *, bare: bool = False) -> pl.DataFrame:
    return pl.DataFrame({"local": local}).with_columns(
        pl.lit(zone, pl.String).alias("zone"), pl.lit(bare).alias("bare")
    )


def _run_one_way(local: pl.Series, series: pl.Series | None) -> bool:
    groups = pl.lit(0) if series is None else series
    frame = pl.DataFrame({"at": local}).with_columns(groups.alias("series")).drop_nulls()
    step = pl.col("at").diff().over("series").drop_nulls()
    up, down = frame.select((step >= pl.duration()).all(), (step <= pl.duration()).all()).row(0)
    return bool(up or down)


def _mixed(units: pl.Series, numbers: pl.Series) -> CellRefused:
    first = units.drop_nulls()[0]
    row = (units != first).fill_null(value=False).arg_max() or 0
    others = f"it is of another unit ({units[row]}) than those before ({first}), and their moments"
    return CellRefused(f"{others} don't run in one direction", row, numbers[row])
