"""A table as it lies in a file, before anybody says what its cells mean."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import numpy as np
import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.errors import UpstreamInvalid


class CellRefused(ValueError):
    """A column can't be read, or only by a guess; `row` counts from 0 and is its first example."""

    def __init__(self, reason: str, row: int, value: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.value = value


def constant(value: object, dtype: pl.DataType, rows: int) -> pl.Series:
    """A column of one value."""
    return pl.Series([value], dtype=dtype).new_from_index(0, rows)


def states_something(column: pl.Series) -> pl.Series:
    """Whether each cell says something."""
    if column.dtype != pl.String:
        return column.is_not_null()
    return column.is_not_null() & (column.str.strip_chars() != "")


def _states_any(columns: Iterable[pl.Series]) -> pl.Series:
    """Whether some cell of each row says something, be it that it is unknown; NaN does not."""
    stated = [states_something(column) & ~_is_nan(column) for column in columns]
    return reduce(or_, stated)


def _is_nan(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column.str.strip_chars().str.to_lowercase() == "nan"
    return (
        column.is_nan() if column.dtype.is_float() else constant(False, pl.Boolean(), len(column))
    )


def names_of(symbols: pl.Series) -> pl.Series:
    """As texts without blanks at their ends; most rows are of the symbol of the row before.

    A column of whole numbers that has become one of floats says 7203, not 7203.0.
    """
    is_float = symbols.dtype.is_float()
    symbols = (symbols.cast(pl.Int64, strict=False) if is_float else symbols).cast(pl.String)
    rows, names = symbols.rle().struct.unnest()
    stripped = names.str.strip_chars()
    if (stripped == names).all():
        return symbols
    return stripped.gather(np.repeat(np.arange(len(names)), rows.to_numpy())).alias(symbols.name)


@dataclass(frozen=True, eq=False)
class LocalTimes:
    """Times as they are written, null where a cell is none.

    `zones` has what each states of its zone, null where it states none; None where none does.
    `common_zone` is what all of them state.
    `bare` says which are dates alone, or that all or none are.
    """

    local: pl.Series
    zones: pl.Series | None = None
    bare: pl.Series | bool = False
    common_zone: str | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a file by position: texts, or what a file with types gives.

    `names` are those of the header, `tickers` whose column each is where the header says it.
    `stated_zone` is the line before the header that names a zone of times, and the zone.
    `torn` says that its only row is what was written of a line without an end, `ragged` which
    rows had more or fewer cells than the header, if any: theirs are null.
    """

    file: str
    names: tuple[str, ...]
    columns: tuple[pl.Series, ...]
    first_line: int
    tickers: tuple[str, ...] | None = None
    stated_zone: tuple[int, str] | None = None
    torn: bool = False
    ragged: pl.Series | None = None

    @property
    def rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def rows_of(self, columns: Iterable[int]) -> pl.Series:
        """Where these columns say something, or none does: a ticker may lack days of the others."""
        return _states_any(self.columns[i] for i in columns) | ~_states_any(self.columns[1:])

    def blank_rows(self) -> pl.Series | None:
        """Which rows say nothing at all, as those below a spreadsheet's last; None if none does."""
        if not self.columns or not self.columns[0].null_count():
            return None
        blank = reduce(and_, (column.is_null() for column in self.columns))
        if self.ragged is not None:
            blank &= ~self.ragged
        return blank if blank.any() else None

    def line_numbers(self) -> pl.Series:
        """The line of each row."""
        return pl.Series(np.arange(self.first_line, self.first_line + self.rows, dtype=np.uint32))

    def candles(self, columns: Mapping[str, pl.Series]) -> pl.DataFrame:
        """The columns in RAW_SCHEMA, with file and line of each row; null where one is not given.

        What is the same in all rows is a literal, which takes no memory. Added to columns that were
        read in several pieces it would copy these.
        """
        literals = [
            pl.lit(self.file if name == "file" else None, dtype).alias(name)
            for name, dtype in RAW_SCHEMA.items()
            if name not in (*columns, "line")
        ]
        lines = pl.DataFrame({"line": self.line_numbers()}).with_columns(literals)
        given = [column.alias(name) for name, column in columns.items()]
        return lines.hstack(given).select(*RAW_SCHEMA)

    def refusal_at(self, line: int, value: str, reason: str) -> UpstreamInvalid:
        """The error that names file, line and value of what stands before the header."""
        return UpstreamInvalid(
            f"the file {self.file!r}, line {line}, value {value!r:.60}: {reason}"
        )

    def refusal(self, column: int, refused: CellRefused) -> UpstreamInvalid:
        """The error that names file, line, column and value."""
        return UpstreamInvalid(
            f"the file {self.file!r}, line {self.first_line + refused.row}, "
            f"column {self.names[column]!r}, value {str(refused.value)[:60]!r}: {refused.reason}"
        )
