"""How much was traded against what was usual, and on which side."""

import math

import polars as pl

from mlengine.core.features.exact_moments import (
    rolling_correlation_parts,
    rolling_std_parts,
    split_mantissa_parts,
)
from mlengine.core.features.kernels import lag, mean, mean_gap_weights, total, weighted_sum
from mlengine.core.features.spec import Feature

VOLUME, TYPICAL = pl.col("volume"), pl.col("typical")

PARTS: dict[str, pl.Expr] = {
    "volume before": lag(VOLUME, bars=1),
    "volume gap:20": weighted_sum(
        VOLUME - pl.col("volume before"), weights=mean_gap_weights(bars=20)
    ),
    **{f"volume:{bars}": mean(VOLUME, bars=bars) for bars in (5, 20, 60)},
    **split_mantissa_parts("volume"),
    **rolling_std_parts("volume", bars=20),
    **rolling_correlation_parts("close", "volume", bars=20),
    "signed volume": pl.col("change").sign() * VOLUME,
    "signed money": (TYPICAL - lag(TYPICAL, bars=1)).sign() * TYPICAL * VOLUME,
    "money": pl.col("signed money").abs(),
    "money in": pl.col("signed money").clip(lower_bound=0.0),
}

FEATURES = (
    Feature(
        name="volume_ratio_20",
        any_sign=True,
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
        any_sign=True,
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
        any_sign=True,
        expr=pl.col("volume gap:20") / pl.col("volume:deviation:20"),
        formula="(volume - mean(volume, 20)) / std(volume, 20), std of the population",
        bars=20,
        unit="deviations",
        source="standard score",
        doc="Distance of the volume from its mean of 20 bars; null where they are constant.",
        low=-math.sqrt(19.0),
        high=math.sqrt(19.0),
    ),
    Feature(
        name="close_volume_correlation_20",
        any_sign=True,
        expr=pl.col("close*volume:correlation:20"),
        formula="correlation(close, volume, 20)",
        bars=20,
        unit="none",
        source="Karpoff 1987 (price and volume); TA-Lib CORREL; Qlib CORR",
        doc="Pearson correlation of close and volume; null where one is constant.",
        low=-1.0,
        high=1.0,
    ),
    Feature(
        name="signed_volume_20",
        any_sign=True,
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
