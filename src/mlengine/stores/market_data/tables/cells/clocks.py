"""Times of the day in a column of their own."""

import re

import polars as pl

from mlengine.stores.market_data.tables.table import CellRefused

# Of a date that is stored as a moment.
_MIDNIGHT = r"[ T]00:00(?::00(?:\.0+)?)?$"
_CLOCK = "^([01][0-9]|2[0-4])[0-5][0-9]([0-5][0-9]|60)?$"
# A few rows of a file may be damaged.
_ODD_SHARE = 0.1


def dated_clocks(
    dates: pl.Series, clocks: pl.Series, known_digits: int | None
) -> tuple[pl.Series, int | None]:
    """The texts of both beside each other, and the number of digits; see `clock_texts`."""
    texts, digits = clock_texts(clocks.cast(pl.String), known_digits)
    days = dates.cast(pl.String).str.strip_chars()
    if days.head(1).str.contains(_MIDNIGHT).any():
        days = days.str.replace(_MIDNIGHT, "")
    return days + " " + texts, digits


def clock_texts(texts: pl.Series, known_digits: int | None) -> tuple[pl.Series, int | None]:
    """Times of the day such as 930, 093000 and 093000000 with a fixed number of digits.

    And that number, which is no smaller than what is known of the rows before. Raises CellRefused
    for what may be digits of something else, such as seconds since midnight.
    """
    clocks = texts.str.strip_chars()
    digits = clocks.str.contains("^[0-9]+$")
    if not digits.any():
        return clocks, known_digits
    longest = max(clocks.filter(digits).str.len_chars().unique().to_list())
    width = max(4 if longest <= 4 else 6 if longest <= 6 else 9, known_digits or 0)
    padded = clocks.str.zfill(width).str.slice(0, 6)
    odd = (digits & ~padded.str.contains(_CLOCK)).fill_null(value=False)
    if int(odd.sum()) > _ODD_SHARE * int(digits.sum()):
        row = odd.arg_max() or 0
        words = (
            "is no time of the day in digits; write it with colons "
            "(bars.toml: columns.time = '' leaves the column out)"
        )
        raise CellRefused(words, row, clocks[row])
    return padded.zip_with(digits, clocks), width


def are_clocks(column: pl.Series) -> bool:
    """Whether these are times of a day, by the first of them."""
    first = column.drop_nulls().head(1).cast(pl.String, strict=False).to_list()
    text = first[0].strip() if first and first[0] else ""
    colons = re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?[AaPp][Mm])?", text)
    if colons or not re.fullmatch("[0-9]{1,9}", text):
        return bool(colons)
    longest = len(str(column.cast(pl.Int64, strict=False).max()))
    digits = text.zfill(4 if longest <= 4 else 6 if longest <= 6 else 9)
    return digits[:2] < "24" and digits[2:4] < "60" and digits[4:6] < "60"
