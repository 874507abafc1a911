"""What stands in the place of bars on which a value may not depend."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from mlengine.core.features.spec import BAR_COLUMNS

# Wild enough to show in an average that has all but forgotten them.
WILD = 2.0**200


def as_they_are(bars: pl.DataFrame) -> pl.DataFrame:
    return bars


def wild(bars: pl.DataFrame) -> pl.DataFrame:
    """Other bars: in reverse, so that ratios change too, and out of all proportion."""
    return bars.with_columns(pl.col(BAR_COLUMNS).reverse() * WILD)


def faint(bars: pl.DataFrame) -> pl.DataFrame:
    """The same on the other side: wild bars never are the lowest, nor let others be the highest."""
    return bars.with_columns(pl.col(BAR_COLUMNS).reverse() / WILD)


def blank(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in BAR_COLUMNS)


OTHER_BARS = (wild, faint, blank)


def spoilt_before(
    history: pl.DataFrame, kept: int, spoil: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    return pl.concat([spoil(history.head(max(history.height - kept, 0))), history.tail(kept)])
