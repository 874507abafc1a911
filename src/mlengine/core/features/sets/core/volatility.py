"""How much the price moves: realised volatility, range estimators, true range, shape."""

import math

import polars as pl

from mlengine.core.features.kernels import change_ratio, ema_weights, mean, total, weighted_sum
from mlengine.core.features.sets.core.movement import CLOSE, HIGH, LOW, OPEN
from mlengine.core.features.spec import Feature

RETURN, PREVIOUS = pl.col("return"), pl.col("previous")
ATR_SMOOTHING = ema_weights(alpha=1.0 / 14.0, bars=63)

PARTS: dict[str, pl.Expr] = {
    "return^2": RETURN * RETURN,
    "return^3": RETURN * pl.col("return^2"),
    "fall^2": RETURN.clip(upper_bound=0.0) * RETURN,
    **{f"energy:{bars}": total(pl.col("return^2"), bars=bars) for bars in (5, 20, 60)},
    "log range": change_ratio(HIGH, LOW).log1p(),
    "log range^2": pl.col("log range") * pl.col("log range"),
    "log body": change_ratio(CLOSE, OPEN).log1p(),
    "garman klass": 0.5 * pl.col("log range^2")
    - (2.0 * math.log(2.0) - 1.0) * pl.col("log body") * pl.col("log body"),
    # The greater of high and previous close, less the smaller of low and previous close.
    "true range": pl.col("range")
    + (PREVIOUS - HIGH).clip(lower_bound=0.0)
    + (LOW - PREVIOUS).clip(lower_bound=0.0),
    "atr": weighted_sum(pl.col("true range"), weights=ATR_SMOOTHING),
}


def _realised_volatility(bars: int) -> Feature:
    return Feature(
        name=f"volatility_{bars}",
        expr=(pl.col(f"energy:{bars}") / bars).sqrt(),
        formula=f"sqrt(mean(return_1^2, {bars}))",
        bars=bars + 1,
        unit="fraction per bar",
        source="Andersen and Bollerslev 1998 (realised volatility)",
        doc=f"Root mean square of the last {bars} one-bar returns.",
        low=0.0,
    )


FEATURES = (
    *(_realised_volatility(bars) for bars in (5, 20, 60)),
    Feature(
        name="volatility_ratio_5_60",
        expr=(pl.col("energy:5") / pl.col("energy:60") * 12.0).sqrt(),
        formula="sqrt(mean(return_1^2, 5) / mean(return_1^2, 60))",
        bars=61,
        unit="ratio",
        source="common usage (volatility term ratio)",
        doc="Volatility of 5 bars against that of 60; null where 60 closes don't move.",
        low=0.0,
        high=math.sqrt(12.0),
    ),
    Feature(
        name="parkinson_20",
        expr=(mean(pl.col("log range^2"), bars=20) / (4.0 * math.log(2.0))).sqrt(),
        formula="sqrt(mean(ln(high/low)^2, 20) / (4 ln 2))",
        bars=20,
        unit="fraction per bar",
        source="Parkinson 1980",
        doc="Volatility from the ranges of 20 bars.",
        low=0.0,
    ),
    Feature(
        name="garman_klass_20",
        expr=mean(pl.col("garman klass"), bars=20).sqrt(),
        formula="sqrt(mean(0.5 ln(high/low)^2 - (2 ln 2 - 1) ln(close/open)^2, 20))",
        bars=20,
        unit="fraction per bar",
        source="Garman and Klass 1980",
        doc="Volatility from range and body of 20 bars.",
        low=0.0,
    ),
    Feature(
        name="atr_ratio_14",
        expr=pl.col("atr") / CLOSE,
        formula="wilder(true_range, 14; 63 bars) / close,"
        " true_range = max(high, close[1]) - min(low, close[1])",
        bars=64,
        unit="fraction",
        source="Wilder 1978 (average true range), cut off after 63 bars",
        doc="Average true range as a fraction of the close.",
        low=0.0,
    ),
    Feature(
        name="range_expansion_14",
        any_sign=True,
        expr=pl.col("true range") / pl.col("atr"),
        formula="true_range / wilder(true_range, 14; 63 bars)",
        bars=64,
        unit="ratio",
        source="Crabel 1990 (range expansion) over Wilder 1978",
        doc="This bar's true range against its average; null where no bar has a range.",
        low=0.0,
        high=1.0 / ATR_SMOOTHING[-1],
    ),
    Feature(
        name="downside_share_20",
        expr=total(pl.col("fall^2"), bars=20) / pl.col("energy:20"),
        formula="sum(min(return_1, 0)^2, 20) / sum(return_1^2, 20)",
        bars=21,
        unit="share",
        source="Barndorff-Nielsen, Kinnebrock and Shephard 2010 (realised semivariance)",
        doc="Share of falling bars in 20 bars' squared returns; null where nothing moves.",
        low=0.0,
        high=1.0,
    ),
    Feature(
        name="skew_20",
        expr=math.sqrt(20.0)
        * total(pl.col("return^3"), bars=20)
        / (pl.col("energy:20") * pl.col("energy:20").sqrt()),
        formula="sqrt(20) sum(return_1^3, 20) / sum(return_1^2, 20)^1.5",
        bars=21,
        unit="none",
        source="Amaya, Christoffersen, Jacobs and Vasquez 2015 (realised skewness)",
        doc="Skew of 20 one-bar returns about zero; null where nothing moves.",
        low=-math.sqrt(20.0),
        high=math.sqrt(20.0),
    ),
)
