"""Where the price stands against its own averages and lines, and how straight it went."""

import math

import polars as pl

from mlengine.core.features.exact_moments import rolling_std_parts, split_mantissa_parts
from mlengine.core.features.kernels import (
    convolved,
    difference_weights,
    ema_weights,
    less,
    mean_gap_weights,
    slope_weights,
    weighted_sum,
)
from mlengine.core.features.sets.core.movement import CLOSE
from mlengine.core.features.spec import Feature

CHANGE = pl.col("change")
# The cut-offs make the whole composition see 63 bars: 54 for the slow EMA, 10 for the signal.
MACD = less(ema_weights(alpha=2 / 13, bars=54), ema_weights(alpha=2 / 27, bars=54))
MACD_HISTOGRAM = less(MACD, convolved(ema_weights(alpha=2 / 10, bars=10), MACD))
RSI_SMOOTHING = ema_weights(alpha=1.0 / 14.0, bars=63)

PARTS: dict[str, pl.Expr] = {
    **{
        f"mean gap:{bars}": weighted_sum(CHANGE, weights=mean_gap_weights(bars=bars))
        for bars in (10, 20, 60)
    },
    **{
        f"slope:{bars}": weighted_sum(CHANGE, weights=slope_weights(bars=bars)) for bars in (20, 60)
    },
    **split_mantissa_parts("close"),
    **rolling_std_parts("close", bars=20),
    **rolling_std_parts("close", bars=60),
    "rise": CHANGE.clip(lower_bound=0.0),
    "move": CHANGE.abs(),
}


def _mean_gap(bars: int) -> Feature:
    gap = pl.col(f"mean gap:{bars}")
    return Feature(
        name=f"sma_gap_{bars}",
        expr=gap / (CLOSE - gap),
        formula=f"(close - mean(close, {bars})) / mean(close, {bars})",
        bars=bars,
        unit="fraction",
        source="Brock, Lakonishok and LeBaron 1992 (moving-average rule)",
        doc=f"Distance of the close from its mean of {bars} bars.",
        low=-1.0,
        high=bars - 1.0,
    )


def _slope(bars: int) -> Feature:
    return Feature(
        name=f"slope_{bars}",
        expr=pl.col(f"slope:{bars}") / CLOSE,
        formula=f"least-squares slope per bar of close over {bars} bars / close",
        bars=bars,
        unit="fraction per bar",
        source="least squares; TA-Lib LINEARREG_SLOPE; Qlib BETA",
        doc=f"Slope of the straight line through {bars} closes, as a fraction of the close.",
    )


def _straightness(bars: int) -> Feature:
    steepness = pl.col(f"slope:{bars}") / pl.col(f"close:deviation:{bars}")
    explained = steepness * steepness * ((bars**2 - 1) / 12)
    return Feature(
        name=f"r2_{bars}",
        any_sign=True,
        expr=explained.clip(upper_bound=1.0),
        formula=f"R^2 of the least-squares line of close over {bars} bars",
        bars=bars,
        unit="share",
        source="least squares; Qlib RSQR",
        doc=f"How straight the last {bars} closes went; null where they are constant.",
        low=0.0,
        high=1.0,
    )


FEATURES = (
    *(_mean_gap(bars) for bars in (10, 20, 60)),
    Feature(
        name="macd",
        expr=weighted_sum(CHANGE, weights=difference_weights(MACD)) / CLOSE,
        formula="(ema(close, 12; 54 bars) - ema(close, 26; 54 bars)) / close",
        bars=54,
        unit="fraction",
        source="Appel 1979 (MACD), cut off after 54 bars",
        doc="Fast less slow average of the close, as a fraction of the close.",
    ),
    Feature(
        name="macd_histogram",
        expr=weighted_sum(CHANGE, weights=difference_weights(MACD_HISTOGRAM)) / CLOSE,
        formula="(m - ema(m, 9; 10 bars)) / close,"
        " m = ema(close, 12; 54 bars) - ema(close, 26; 54 bars)",
        bars=63,
        unit="fraction",
        source="Appel 1979, Aspray 1986 (MACD histogram), cut off after 63 bars",
        doc="MACD less its signal line, as a fraction of the close.",
    ),
    Feature(
        name="rsi_14",
        any_sign=True,
        expr=100.0
        * (
            weighted_sum(pl.col("rise"), weights=RSI_SMOOTHING)
            / weighted_sum(pl.col("move"), weights=RSI_SMOOTHING)
        ),
        formula="100 wilder(max(close - close[1], 0), 14; 63 bars)"
        " / wilder(abs(close - close[1]), 14; 63 bars)",
        bars=64,
        unit="percent",
        source="Wilder 1978 (relative strength index), cut off after 63 bars",
        doc="Share of rises in the moves of the close; null where it doesn't move.",
        low=0.0,
        high=100.0,
    ),
    Feature(
        name="bollinger_position_20",
        any_sign=True,
        expr=0.5 + pl.col("mean gap:20") / (4.0 * pl.col("close:deviation:20")),
        formula="0.5 + (close - mean(close, 20)) / (4 std(close, 20)), std of the population",
        bars=20,
        unit="share",
        source="Bollinger 2001 (%b, two deviations)",
        doc="Place of the close between the Bollinger bands; null where 20 closes are constant.",
        low=0.5 - math.sqrt(19.0) / 4.0,
        high=0.5 + math.sqrt(19.0) / 4.0,
    ),
    Feature(
        name="bollinger_width_20",
        expr=4.0 * pl.col("close:deviation:20") / (CLOSE - pl.col("mean gap:20")),
        formula="4 std(close, 20) / mean(close, 20), std of the population",
        bars=20,
        unit="fraction",
        source="Bollinger 2001 (bandwidth, two deviations)",
        doc="Distance between the Bollinger bands as a fraction of their middle.",
        low=0.0,
        high=4.0 * math.sqrt(19.0),
    ),
    Feature(
        name="zscore_60",
        any_sign=True,
        expr=pl.col("mean gap:60") / pl.col("close:deviation:60"),
        formula="(close - mean(close, 60)) / std(close, 60), std of the population",
        bars=60,
        unit="deviations",
        source="standard score",
        doc="Distance of the close from its mean of 60 bars; null where they are constant.",
        low=-math.sqrt(59.0),
        high=math.sqrt(59.0),
    ),
    *(_slope(bars) for bars in (20, 60)),
    *(_straightness(bars) for bars in (20, 60)),
)
