"""In which order dates have their day and month, and what may have changed it."""

import polars as pl

from mlengine.stores.market_data.tables.table import CellRefused

_YEAR_FIRST = r"^[0-9]{4}[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[^0-9]|$)"
_YEAR_LAST = r"^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}(?:[^0-9]|$)"
# Of either form; fewer may be chance.
_FEWEST_SWAPPED = 4


def day_stands_first(texts: pl.Series, which: pl.Series, rows: pl.Series) -> bool:
    """Whether it does before the month in `which` of the texts, whose places are `rows`.

    Raises CellRefused where they do not tell.
    """
    pair = texts.str.extract_groups(r"^([0-9]{1,2})[-/.]([0-9]{1,2})")
    first, second = (pair.struct.field(name).cast(pl.Int8, strict=False) for name in ("1", "2"))
    late_first, late_second = (
        (which & (number > 12)).fill_null(value=False) for number in (first, second)
    )
    if late_first.any() != late_second.any():
        return bool(late_first.any())
    row = (late_second if late_second.any() else which).arg_max() or 0
    words = (
        "the day stands first in some rows and second in others"
        if late_first.any()
        else "is the day or the month first?"
    )
    raise CellRefused(
        f"{words} Set date_format in bars.toml, such as '%d/%m/%Y'", rows[row], texts[row]
    )


def refuse_other_order(texts: pl.Series, local: pl.Series) -> None:
    """That the dates of a column of several forms, or with dates that never were, are as read."""
    _refuse_day_between(texts, local)
    _refuse_swapped(texts, local)


def _refuse_day_between(texts: pl.Series, local: pl.Series) -> None:
    """That dates are not written with the day between year and month.

    Some then have no month; and none that is read has a day beyond twelve.
    """
    parts = texts.set(local.is_not_null(), None).str.extract_groups(_YEAR_FIRST)
    between, last = (parts.struct.field(name).cast(pl.Int8, strict=False) for name in ("1", "2"))
    no_month = (between.is_between(13, 31) & last.is_between(1, 12)).fill_null(value=False)
    if no_month.any() and (local.dt.day() <= 12).all():
        row = no_month.arg_max() or 0
        words = "is its day between year and month? Set date_format in bars.toml, as '%Y-%d-%m'"
        raise CellRefused(words, row, texts[row])


def _refuse_swapped(texts: pl.Series, local: pl.Series) -> None:
    """That no spreadsheet has taken days for months and left what is no month as text.

    Then all days beyond twelve are written with the year last, and none of the other dates has one.
    """
    is_text = texts.str.contains(_YEAR_LAST)
    days = local.dt.day()
    left, taken = days.filter(is_text).drop_nulls(), days.filter(~is_text).drop_nulls()
    fewest = min(len(left), len(taken))
    if fewest >= _FEWEST_SWAPPED and (left > 12).all() and (taken <= 12).all():
        row = (~is_text & local.is_not_null()).arg_max() or 0
        words = (
            "has a spreadsheet taken its day for the month? All days beyond twelve are written "
            "otherwise (bars.toml: date_format reads the rows of one form alone)"
        )
        raise CellRefused(words, row, texts[row])
