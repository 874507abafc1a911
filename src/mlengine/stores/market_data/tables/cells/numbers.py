"""Columns of numbers, whatever sign they have for decimals and thousands."""

from collections.abc import Sequence

import polars as pl

from mlengine.stores.market_data.tables.table import CellRefused, constant

# As people, databases, statistics packages and spreadsheets write what is not known.
_BLANKS = (
    *("", "-", "--", "–", "—", ".", "?", "n/a", "na", "n.a.", "nan", "<na>", "null", "(null)"),
    *(
        "none",
        "nil",
        "\\n",
        "#n/a",
        "#n/a n/a",
        "#na",
        "#nv",
        "#div/0!",
        "#value!",
        "#ref!",
        "#num!",
    ),
)
_SIGNS = r"[\p{Sc}\s'’]"
_NUMBER = r"^[+-]?\p{Sc}?[+-]?[0-9][0-9.,'’\s]*[KMBkmb]?\s*\p{Sc}?$"
_PARTED = r"[0-9][\s'’]+[0-9]"
_PARTED_BY_THREES = r"^[^0-9]*[0-9]{1,3}(?:[\s'’][0-9]{3})+(?:[.,][0-9]*)?[^0-9]*$"
# Where only one reading is possible: after a thousands sign stand three digits.
_ONLY = (
    "^[^S]*S(?:[0-9]{1,2}|[0-9]{4,})$|G[0-9]{3}S[0-9]|^[+-]?0S[0-9]|^[+-]?[0-9]{4,}S[0-9]+$"
    "|G[0-9]{2,3}G[0-9]{3}"
)
# By thousands, or as in India by hundreds above a thousand.
_GROUPED = "^[+-]?(?:[0-9]{1,3}(?:G[0-9]{3})+|[0-9]{1,2}(?:G[0-9]{2})*G[0-9]{3})(?:S[0-9]*)?$"
_DOUBTFUL = r"^[+-]?(?:[0-9]+|[1-9][0-9]{0,2}\.[0-9]{3})$"
_EXPONENT = r"^[+-]?[0-9]\.?[0-9]*[eE][+-]?[0-9]+$"
_SAMPLE_ROWS = 16
_MULTIPLES = {"K": "e3", "M": "e6", "B": "e9"}


def plain_numbers(column: pl.Series) -> pl.Series:
    """Float64 of what is a number as computers write it; null what is none."""
    if column.dtype == pl.Boolean or column.dtype.is_temporal() or column.dtype.is_nested():
        return constant(None, pl.Float64(), len(column))
    return categories_as_text(column).cast(pl.Float64, strict=False)


def categories_as_text(column: pl.Series) -> pl.Series:
    """Categories as texts; any other column as it is."""
    return column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum) else column


def first_unread(column: pl.Series, numbers: pl.Series) -> int | None:
    """The first row of a column of texts that says something that is not among its numbers."""
    if column.dtype != pl.String or numbers.null_count() == column.null_count():
        return None
    is_blank = column.str.strip_chars().str.to_lowercase().is_in(_BLANKS)
    unread = column.is_not_null() & numbers.is_null() & ~is_blank
    return unread.arg_max() if unread.any() else None


def no_number(role: str, row: int, value: object) -> CellRefused:
    """Of a column without a number; a market may have no volume."""
    words = f"it is no number (bars.toml can name another column: columns.{role}"
    return CellRefused(words + (", or '' for none)" if role == "volume" else ")"), row, value)


def first_doubtful_dot(volumes: pl.Series, prices: Sequence[pl.Series]) -> int | None:
    """The first volume whose dot may be a sign of thousands, where all dots of the table may be.

    Before three digits and after one to three, everywhere: volumes with decimals have any number.
    """
    columns = [volumes, *prices]
    if any(column.dtype != pl.String for column in columns):
        return None
    has_dot = volumes.str.contains(".", literal=True)
    if not has_dot.any() or any(_decides_dot(column.head(_SAMPLE_ROWS)) for column in columns):
        return None
    return None if any(map(_decides_dot, columns)) else has_dot.arg_max()


def _decides_dot(column: pl.Series) -> bool:
    """Whether a number can be read in one way only."""
    cells = column.str.strip_chars()
    numbers = cells.filter(cells.str.contains(_NUMBER))
    return not numbers.str.contains(_DOUBTFUL).all() or cells.str.contains(_EXPONENT).any()


def decimal_sign(columns: Sequence[pl.Series]) -> str:
    """`.` or `,`, by the cells of all columns of numbers together; raises CellRefused.

    The row of the refusal is one of the first column that can't be read.
    """
    texts = [column.str.strip_chars() for column in columns if column.dtype == pl.String]
    written = pl.concat([text.filter(text.str.contains(_NUMBER)) for text in texts])
    bare = written.str.replace_all(_SIGNS, "").str.strip_chars("KMBkmb")
    comma, dot = (bare.str.contains(_with_signs(_ONLY, *signs)) for signs in (",.", ".,"))
    if comma.any() != dot.any() or not bare.str.contains(",").any():
        return "," if comma.any() else "."
    for text in texts:
        doubtful = text.str.contains(_NUMBER) & text.str.contains(",")
        if doubtful.any():
            row = doubtful.arg_max() or 0
            words = "is its comma a decimal sign or one of thousands? Set decimal in bars.toml"
            raise CellRefused(words, row, text[row])
    return "."


def written_numbers(column: pl.Series, decimal: str, *, has_multiples: bool) -> pl.Series:
    """Float64 of texts with signs of currency and thousands; null what is none.

    With `has_multiples` those that end with K, M or B are so many thousands, millions, billions.
    """
    other = "," if decimal == "." else "."
    texts = column.str.strip_chars()
    parted = texts.str.contains(_PARTED) & ~texts.str.contains(_PARTED_BY_THREES)
    # 102'16 is a price in thirty-seconds, and 1 2 is two numbers.
    bare = texts.set(parted.fill_null(value=False), None).str.replace_all(_SIGNS, "")
    exponents: pl.Series | str = ""
    if has_multiples:
        suffixes = bare.str.slice(-1).str.to_uppercase()
        exponents = suffixes.replace_strict(_MULTIPLES, default="", return_dtype=pl.String)
        bare = bare.str.strip_chars_end("KMBkmb")
    has_other = bare.str.contains(other, literal=True).fill_null(value=False)
    grouped = bare.str.contains(_with_signs(_GROUPED, decimal, other)).fill_null(value=False)
    # A sign of thousands that stands elsewhere makes the cell unreadable.
    whole = bare.set(has_other & ~grouped, None).str.replace_all(other, "", literal=True)
    # As an exponent: 1.11 million are 1,110,000, and 1.11 times a million is a little more.
    digits = whole.str.replace(decimal, ".", literal=True) + exponents
    return digits.cast(pl.Float64, strict=False)


def _with_signs(pattern: str, decimal: str, group: str) -> str:
    """With the sign of decimals for S and that of thousands for G."""
    escaped = {".": r"\.", ",": ","}
    return pattern.replace("S", escaped[decimal]).replace("G", escaped[group])
