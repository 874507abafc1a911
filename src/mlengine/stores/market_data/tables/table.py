"""A table as it lies in a file, before anybody says what its cells mean."""

from dataclasses import dataclass

import polars as pl

from mlengine.errors import UpstreamInvalid


class CellRefused(ValueError):
    """A column can't be read, or only by a guess; `row` counts from 0 and is its first example."""

    def __init__(self, reason: str, row: int, value: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.value = value


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a file by position: texts, or what a file with types gives.

    `names` are those of the header, `tickers` whose column each is where the header says it.
    `torn` says that its only row is what was written of a line without an end.
    """

    file: str
    names: tuple[str, ...]
    columns: tuple[pl.Series, ...]
    first_line: int
    tickers: tuple[str, ...] | None = None
    torn: bool = False

    @property
    def rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def lines(self) -> pl.Series:
        """The line of each row."""
        return pl.int_range(
            self.first_line, self.first_line + self.rows, dtype=pl.UInt32, eager=True
        )

    def refusal(self, column: int, refused: CellRefused) -> UpstreamInvalid:
        """The error that names file, line, column and value."""
        return UpstreamInvalid(
            f"the file {self.file!r}, line {self.first_line + refused.row}, "
            f"column {self.names[column]!r}, value {str(refused.value)[:60]!r}: {refused.reason}"
        )
