"""A sketch of the rows that were trained on: order statistics of each column by itself.

A copy of a large universe's rows is larger than everything else in a version.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.distances import SortedSample

ROWS_BEHIND = "rows_behind"
_SKETCH_ROWS = 512


def sketch(
    samples: Mapping[str, SortedSample], *, rows: int, size: int = _SKETCH_ROWS
) -> pl.DataFrame:
    """`sketch_table` of samples that are all there."""
    columns = {
        name: order_statistics(sample, rows=rows, size=size) for name, sample in samples.items()
    }
    return sketch_table(columns, rows=rows)


def sketch_table(columns: Mapping[str, Floats], *, rows: int) -> pl.DataFrame:
    """Evenly spaced order statistics of each column by itself, float64, null where undefined.

    A column `rows_behind` has `rows`, the number of rows behind. The distribution function of a
    column is within 1 / size of that of its sample, and the same where that has no more rows.
    """
    frame = pl.DataFrame(columns, nan_to_null=True)
    return frame.with_columns(pl.lit(rows, pl.Int64).alias(ROWS_BEHIND))


def order_statistics(sample: SortedSample, *, rows: int, size: int = _SKETCH_ROWS) -> Floats:
    """At most `size` of the values of a sample of `rows` rows, NaN for the undefined share."""
    count = min(size, rows)
    finite = sample.values
    defined = round(count * len(finite) / sample.rows) if sample.rows else 0
    if len(finite):
        defined = min(max(defined, 1), count)
    at = ((np.arange(defined) + 0.5) / max(defined, 1) * len(finite)).astype(np.int64)
    return np.append(finite[at], np.full(count - defined, np.nan))
