"""How the rolling features of Alpha158 are declared: one rule for five windows."""

from collections.abc import Callable

import polars as pl

from mlengine.core.features.spec import BAR_COLUMNS, Feature

WINDOWS = (5, 10, 20, 30, 60)
WINDOW_BARS = 61
SOURCE = "Microsoft Qlib, Alpha158"
# Qlib's own guard against a division by zero: beside prices it is an amount of money, so that a
# feature that adds it to prices isn't free of their scale.
EPSILON = 1e-12
# Qlib leaves R^2 and correlations undefined where a standard deviation is at most this; that of a
# price is an amount of money too.
STEADY = 2e-5

# Qlib stores bars in single precision; its values are met only by those of rounded bars.
SINGLE: dict[str, pl.Expr] = {
    f"single {name}": pl.col(name).cast(pl.Float32).cast(pl.Float64) for name in BAR_COLUMNS
}
OPEN, HIGH, LOW, CLOSE, VOLUME = (pl.col(name) for name in SINGLE)


def features_over_windows(
    name: str,
    expr: Callable[[int], pl.Expr],
    *,
    formula: str,
    doc: str,
    unit: str,
    before: int = 0,
    low: float | None = None,
    high: float | None = None,
    scale_free: bool = True,
    any_sign: bool = False,
) -> tuple[Feature, ...]:
    """`name`5, … `name`60; `formula` and `doc` hold `{d}`; `before` counts bars beyond d."""
    return tuple(
        Feature(
            name=f"{name}{d}",
            expr=expr(d),
            formula=formula.format(d=d),
            bars=d + before,
            unit=unit,
            source=SOURCE,
            doc=doc.format(d=d),
            low=low,
            high=high,
            scale_free=scale_free,
            any_sign=any_sign,
        )
        for d in WINDOWS
    )


def column_for_window(stem: str) -> Callable[[int], pl.Expr]:
    """The part `stem:d` of each window."""
    return lambda d: pl.col(f"{stem}:{d}")
