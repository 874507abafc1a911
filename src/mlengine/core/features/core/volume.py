"""How much was traded against what was usual, and on which side."""

from __future__ import annotations

import math

import polars as pl

from mlengine.core.features.kernels import lag, mean, mean_gap_weights, total, weighted_sum
from mlengine.core.features.moments import (
    correlation,
    cross_parts,
    deviation,
    split_parts,
    square_parts,
)
from mlengine.core.features.spec import Feature

VOLUME, TYPICAL = pl.col("volume"), pl.col("typical")
_BOTH = pl.col("volume before") + VOLUME

PARTS: dict[str, pl.Expr] = {
    "volume before": lag(VOLUME, bars=1),
    # In [-1, 1] and 0 between two bars without trade, where a ratio would be infinite.
    "volume change": (VOLUME - pl.col("volume before"))
    / pl.when(_BOTH == 0.0).then(1.0).otherwise(_BOTH),
    "volume gap:20": weighted_sum(
        VOLUME - pl.col("volume before"), weights=mean_gap_weights(bars=20)
    ),
    **{f"volume:{bars}": mean(VOLUME, bars=bars) for bars in (5, 20, 60)},
    **split_parts("volume"),
    **square_parts("volume", bars=20),
    **split_parts("return"),
    **square_parts("return", bars=20),
    **split_parts("volume change"),
    **square_parts("volume change", bars=20),
    **cross_parts("return", "volume change", bars=20),
    "signed volume": pl.col("change").sign() * VOLUME,
    "signed money": (TYPICAL - lag(TYPICAL, bars=1)).sign() * TYPICAL * VOLUME,
    "money": pl.col("signed money").abs(),
    "money in": pl.col("signed money").clip(lower_bound=0.0),
}

FEATURES = (
    Feature(
        name="volume_ratio_20",
        expr=VOLUME / pl.col("volume:20"),
        formula="volume / mean(volume, 20)",
        bars=20,
        unit="ratio",
        source="common usage (relative volume); Qlib VMA",
        doc="Volume against its mean of 20 bars; null where none of them traded.",
        low=0.0,
        high=20.0,
    ),
    Feature(
        name="volume_ratio_5_60",
        expr=pl.col("volume:5") / pl.col("volume:60"),
        formula="mean(volume, 5) / mean(volume, 60)",
        bars=60,
        unit="ratio",
        source="common usage (volume oscillator)",
        doc="Mean volume of 5 bars against that of 60; null where none of them traded.",
        low=0.0,
        high=12.0,
    ),
    Feature(
        name="volume_zscore_20",
        expr=pl.col("volume gap:20") / deviation("volume", bars=20),
        formula="(volume - mean(volume, 20)) / std(volume, 20), std of the population",
        bars=20,
        unit="deviations",
        source="standard score",
        doc="Distance of the volume from its mean of 20 bars; null where they are constant.",
        low=-math.sqrt(19.0),
        high=math.sqrt(19.0),
    ),
    Feature(
        name="return_volume_correlation_20",
        expr=correlation("return", "volume change", bars=20),
        formula="correlation(return_1, (volume - volume[1]) / (volume + volume[1]), 20),"
        " the change 0 where both volumes are",
        bars=21,
        unit="none",
        source="Karpoff 1987 (price changes and volume); Qlib CORD",
        doc="Pearson correlation of returns and volume changes; null where one is constant.",
        low=-1.0,
        high=1.0,
    ),
    Feature(
        name="signed_volume_20",
        expr=total(pl.col("signed volume"), bars=20) / total(VOLUME, bars=20),
        formula="sum(sign(close - close[1]) volume, 20) / sum(volume, 20)",
        bars=21,
        unit="share",
        source="Granville 1963 (on-balance volume), of 20 bars and as a share",
        doc="Volume of rising less that of falling bars, as a share; null without trade.",
        low=-1.0,
        high=1.0,
    ),
    Feature(
        name="money_flow_14",
        expr=100.0 * (total(pl.col("money in"), bars=14) / total(pl.col("money"), bars=14)),
        formula="100 sum(typical volume where typical > typical[1], 14)"
        " / sum(typical volume where typical != typical[1], 14),"
        " typical = (high + low + close) / 3",
        bars=15,
        unit="percent",
        source="Quong and Soudack 1989 (money flow index); TA-Lib MFI",
        doc="Share of rising bars in the money traded in 14 bars; null where none moved.",
        low=0.0,
        high=100.0,
    ),
)
