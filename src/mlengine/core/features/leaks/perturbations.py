"""What stands in the place of bars on which a value may not depend."""

from collections.abc import Callable

import polars as pl

from mlengine.core.features.spec import BAR_COLUMNS

# Large enough to show in an average that has all but forgotten them.
SCALE = 2.0**200


def unchanged(bars: pl.DataFrame) -> pl.DataFrame:
    return bars


def scaled_up(bars: pl.DataFrame) -> pl.DataFrame:
    """Other bars: in reverse, so that ratios change too, and out of all proportion."""
    return bars.with_columns(pl.col(BAR_COLUMNS).reverse() * SCALE)


def scaled_down(bars: pl.DataFrame) -> pl.DataFrame:
    """The same on the other side: wild bars never are the lowest, nor let others be the highest."""
    return bars.with_columns(pl.col(BAR_COLUMNS).reverse() / SCALE)


def nulled(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in BAR_COLUMNS)


PERTURBATIONS = (scaled_up, scaled_down, nulled)


def perturb_before_last(
    history: pl.DataFrame, unchanged_bars: int, perturb: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    return pl.concat(
        [
            perturb(history.head(max(history.height - unchanged_bars, 0))),
            history.tail(unchanged_bars),
        ]
    )
