"""Where the close stands between the extremes of a span, and how far below its peak."""

import polars as pl

from mlengine.core.features.kernels import (
    added,
    change_ratio,
    highest,
    kernel_input,
    lag,
    lowest,
    mean,
    mean_gap_weights,
    past,
    weighted_sum,
)
from mlengine.core.features.sets.core.movement import CLOSE, HIGH, LOW
from mlengine.core.features.spec import Feature

CCI_BARS = 14
TYPICAL = pl.col("typical")

PARTS: dict[str, pl.Expr] = {
    **{f"top:{bars}": highest(HIGH, bars=bars) for bars in (14, 20, 28, 60)},
    **{f"floor:{bars}": lowest(LOW, bars=bars) for bars in (14, 20, 28, 60)},
    "stochastic": kernel_input(
        100.0 * ((CLOSE - pl.col("floor:14")) / (pl.col("top:14") - pl.col("floor:14")))
    ),
    "close:highest:32": highest(CLOSE, bars=32),
    "drawdown:32": kernel_input(change_ratio(CLOSE, pl.col("close:highest:32"))),
    "typical": (HIGH + LOW + CLOSE) / 3.0,
    "typical gap": weighted_sum(
        TYPICAL - lag(TYPICAL, bars=1), weights=mean_gap_weights(bars=CCI_BARS)
    ),
    "typical mean": TYPICAL - pl.col("typical gap"),
    **{
        f"off mean:{bars}": (past(TYPICAL, bars=bars) - pl.col("typical mean")).abs()
        for bars in range(CCI_BARS)
    },
    "mean deviation": added(pl.col(f"off mean:{bars}") for bars in range(CCI_BARS)) / CCI_BARS,
}


def _channel_position(bars: int) -> Feature:
    floor, top = pl.col(f"floor:{bars}"), pl.col(f"top:{bars}")
    return Feature(
        name=f"donchian_{bars}",
        any_sign=True,
        expr=(CLOSE - floor) / (top - floor),
        formula=f"(close - min(low, {bars})) / (max(high, {bars}) - min(low, {bars}))",
        bars=bars,
        unit="share",
        source="Donchian 1960 (channel)",
        doc=f"Place of the close in the channel of {bars} bars; null where it has no width.",
        low=0.0,
        high=1.0,
    )


FEATURES = (
    *(_channel_position(bars) for bars in (20, 60)),
    Feature(
        name="stochastic_k_14",
        any_sign=True,
        expr=pl.col("stochastic"),
        formula="100 (close - min(low, 14)) / (max(high, 14) - min(low, 14))",
        bars=14,
        unit="percent",
        source="Lane 1984 (fast %K); TA-Lib STOCHF",
        doc="Place of the close in the range of 14 bars; null where it has no width.",
        low=0.0,
        high=100.0,
    ),
    Feature(
        name="stochastic_d_14_3",
        any_sign=True,
        expr=mean(pl.col("stochastic"), bars=3),
        formula="mean(100 (close - min(low, 14)) / (max(high, 14) - min(low, 14)), 3)",
        bars=16,
        unit="percent",
        source="Lane 1984 (%D); TA-Lib STOCHF",
        doc="Mean of the last three values of stochastic_k_14.",
        low=0.0,
        high=100.0,
    ),
    Feature(
        name="williams_r_28",
        any_sign=True,
        expr=100.0 * ((CLOSE - pl.col("top:28")) / (pl.col("top:28") - pl.col("floor:28"))),
        formula="-100 (max(high, 28) - close) / (max(high, 28) - min(low, 28))",
        bars=28,
        unit="percent",
        source="Williams 1973 (%R); TA-Lib WILLR",
        doc="Distance of the close from the top of 28 bars; null where they have no width.",
        low=-100.0,
        high=0.0,
    ),
    Feature(
        name="cci_14",
        any_sign=True,
        expr=pl.col("typical gap") / (0.015 * pl.col("mean deviation")),
        formula="(typical - m) / (0.015 mean(abs(typical - m), 14)), m = mean(typical, 14),"
        " typical = (high + low + close) / 3",
        bars=CCI_BARS,
        unit="none",
        source="Lambert 1980 (commodity channel index); TA-Lib CCI",
        doc="Distance of the typical price from its mean in mean deviations; null where constant.",
        low=-CCI_BARS / (2.0 * 0.015),
        high=CCI_BARS / (2.0 * 0.015),
    ),
    Feature(
        name="drawdown_60",
        expr=change_ratio(CLOSE, pl.col("close:highest:60")),
        formula="(close - max(close, 60)) / max(close, 60)",
        bars=60,
        unit="fraction",
        source="common usage (drawdown)",
        doc="Loss against the highest of the last 60 closes.",
        low=-1.0,
        high=0.0,
    ),
    Feature(
        name="runup_60",
        expr=change_ratio(CLOSE, pl.col("close:lowest:60")),
        formula="(close - min(close, 60)) / min(close, 60)",
        bars=60,
        unit="fraction",
        source="common usage (run-up)",
        doc="Gain against the lowest of the last 60 closes.",
        low=0.0,
    ),
    Feature(
        name="worst_drawdown_32",
        expr=lowest(pl.col("drawdown:32"), bars=32),
        formula="min((close - max(close, 32)) / max(close, 32), 32)",
        bars=63,
        unit="fraction",
        source="Magdon-Ismail and Atiya 2004 (maximum drawdown), each against 32 bars",
        doc="Worst loss against a running peak of 32 closes within the last 32 bars.",
        low=-1.0,
        high=0.0,
    ),
)
