"""Features that memory does not hold: what a dataset asks of whoever keeps them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import polars as pl

from mlengine.core.arrays import Floats, Indices
from mlengine.core.boosting.row_blocks import RowBlock

# Bars whose features are computed, and let go of, at once.
PIECE_ROWS = 131_072


class SpilledFeatures(Protocol):
    """The features of all rows of a dataset, in the order of its rows."""

    def blocks(self, rows: Indices) -> Sequence[RowBlock]:
        """Some rows, ascending, block by block."""

    def column(self, name: str, rows: Indices) -> Floats:
        """One feature of some rows, ascending; NaN where undefined."""

    def plan(self) -> pl.LazyFrame:
        """All rows, one column a feature, null where undefined."""


class FeatureSpill(Protocol):
    """Takes the features of rows in the order in which they are computed."""

    @property
    def piece_rows(self) -> int:
        """Of how many bars features are to be computed at once, about."""

    def append(self, timestamps: pl.Series, features: pl.DataFrame) -> None:
        """Keep the features of further rows with the timestamps of their bars."""

    def finish(self, order: Indices) -> SpilledFeatures:
        """Put the appended rows in order: row `i` of the dataset was appended as `order[i]`th.

        Those that `order` does not name are left out. Rows are in the order of their timestamps.
        """
