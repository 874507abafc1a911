"""What a column of times may mean that nothing says: refused, with the setting that decides it."""

import re
from datetime import time, timedelta

import numpy as np
import polars as pl

from mlengine.stores.market_data.tables.cells.numbers import categories_as_text
from mlengine.stores.market_data.tables.cells.times import read_times
from mlengine.stores.market_data.tables.columns.names import plain_name
from mlengine.stores.market_data.tables.columns.roles import Roles
from mlengine.stores.market_data.tables.settings import SETTINGS_FILE, TableSettings
from mlengine.stores.market_data.tables.table import CellRefused, Table, states_something

# Where times state no zone of their own, it says which is theirs.
_LIKE_ZONE = re.compile("^(tz|tz ?info|(exchange )?time ?zone( ?name)?|zone|(utc|gmt|tz) ?offset)$")
_UTC = ("utc", "gmt", "z", "etc/utc", "0", "0.0", "+0", "+00:00", "+0000", "00:00", "")
_LOCAL = ("local time",)
_SET = f"Set zone in {SETTINGS_FILE}"
# From one to twelve, as clocks show them that say no half of the day.
_FIRST_HOUR, _LAST_HOUR = 1, 12
# Sessions begin from then on, and after noon end before it.
_MORNING = 8
_SAMPLE_ROWS = 16
_MOST_DATES = 64
# Further than zones lie apart.
_OTHER_DATE = timedelta(days=2, hours=1)
_HALF = r"(?i)[ap]\.?m\.?\b"


def refuse_undated(table: Table, start: int, at: pl.Series) -> None:
    """That some row of a table has a moment."""
    if not len(at) or at.null_count() < len(at):
        return
    column = table.columns[start]
    row = states_something(column).arg_max() or 0
    words = "not one candle has a readable timestamp (bars.toml can state date_format)"
    raise table.refusal(start, CellRefused(words, row, column[row]))


def refuse_other_zone(table: Table, start: int, local: pl.Series) -> None:
    """That nothing says of times of the day which zone they are of, where no setting does."""
    if (local.drop_nulls().dt.time() == time(0)).all():
        return
    zones = [i for i, name in enumerate(table.names) if _LIKE_ZONE.fullmatch(plain_name(name))]
    for i in zones:
        texts = table.columns[i].cast(pl.String, strict=False).str.strip_chars()
        stated = texts.is_not_null() & ~texts.str.to_lowercase().is_in(_UTC)
        if stated.any():
            row = stated.arg_max() or 0
            raise table.refusal(
                i, CellRefused(f"is this the zone of its times? {_SET}", row, texts[row])
            )
    if table.stated_zone is not None and table.stated_zone[1].lower() not in _UTC:
        line, zone = table.stated_zone
        raise table.refusal_at(line, zone, f"is this the zone of its times? {_SET}")
    if plain_name(table.names[start]) in _LOCAL:
        row = local.is_not_null().arg_max() or 0
        raise table.refusal(
            start, CellRefused(f"which zone is it of? {_SET}", row, table.columns[start][row])
        )


def refuse_doubtful_starts(
    table: Table, roles: Roles, local: pl.Series, symbols: pl.Series
) -> None:
    """That local times are those of bars, and whole."""
    if table.columns[roles.start].dtype == pl.String:
        position = roles.start if roles.clock is None else roles.clock
        _refuse_lost_half_of_day(table, position, local, symbols)
    if roles.date is not None:
        _refuse_other_date(table, roles.start, roles.date, local)


def _refuse_other_date(table: Table, start: int, date: int, local: pl.Series) -> None:
    """That the times are of the dates beside them, which may be the bars' own; some rows show it.

    The dates may be those of another zone.
    """
    rows = np.unique(np.linspace(0, len(local) - 1, num=min(_MOST_DATES, len(local)), dtype=int))
    try:
        dates = read_times(categories_as_text(table.columns[date]).gather(rows), TableSettings())[0]
    except CellRefused:
        return
    apart = (local.gather(rows) - dates.local).abs() >= _OTHER_DATE
    if not 2 * int(apart.sum()) > len(apart) - apart.null_count():
        return
    row = int(rows[apart.arg_max() or 0])
    words = (
        f"is this the time of the bar, or is it {table.columns[date][row]} in the column "
        f"{table.names[date]!r}? {SETTINGS_FILE} can name it: columns.timestamp"
    )
    raise table.refusal(start, CellRefused(words, row, table.columns[start][row]))


def _refuse_lost_half_of_day(
    table: Table, position: int, local: pl.Series, symbols: pl.Series
) -> None:
    """That times are not those of a clock of twelve hours without its AM and PM.

    No hour is beyond twelve, and on most days one of a morning is followed by a smaller one; in
    rows that run backward it is the other way round. `position` is of the column that has the hour.
    """
    if not _are_of_twelve_hours(local.head(_SAMPLE_ROWS)) or not _are_of_twelve_hours(local):
        return
    hours = local.dt.hour()
    frame = pl.DataFrame({"at": local, "hour": hours, "symbol": symbols}).with_row_index("row")
    of_day = ("symbol", pl.col("at").dt.date())
    steps = frame.drop_nulls().select(
        "row",
        pl.struct("symbol", pl.col("at").dt.date()).alias("day"),
        pl.col("at").diff().over(*of_day).alias("step"),
        pl.col("hour").alias("later"),
        pl.col("hour").shift(1).over(*of_day).alias("earlier"),
    )
    steps = steps.drop_nulls("step")
    forward = (steps["step"] > timedelta()).sum() * 2 >= len(steps)
    if not forward:
        steps = steps.rename({"later": "earlier", "earlier": "later"})
    turns = steps.filter(pl.col("earlier") >= _MORNING, pl.col("later") < _MORNING)
    column = table.columns[position].cast(pl.String)
    if (
        not len(turns)
        or 2 * len(turns) < steps["day"].n_unique()
        or column.str.contains(_HALF).any()
    ):
        return
    row = turns["row"][0]
    words = "is it before noon or after? Write AM and PM, or set date_format in bars.toml"
    raise table.refusal(position, CellRefused(words, row, column[row]))


def _are_of_twelve_hours(local: pl.Series) -> bool:
    hours = local.dt.hour().drop_nulls()
    return bool(len(hours)) and bool(hours.is_between(_FIRST_HOUR, _LAST_HOUR).all())
