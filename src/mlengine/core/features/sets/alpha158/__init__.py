"""The `alpha158` feature set: Microsoft Qlib's Alpha158, its names, order and definitions.

From the 61st bar of a symbol on the values are Qlib's; before, Qlib's windows are partial and the
values here null. Bars are rounded to single precision first, in which Qlib stores them, and what
Qlib divides by keeps Qlib's 1e-12: on a bar without trade VMA and VSTD are huge.

Two things are not Qlib's: the typical price stands for its volume-weighted average price, and a
value that is missing or undefined inside a window (a NaN, a volume's ratio to 0) makes the feature
null, where Qlib goes on with the rest of the window.
"""

from mlengine.core.features.sets.alpha158 import (
    candle,
    extremes_and_ranks,
    rolling_price,
    ups_and_downs,
    volume,
)
from mlengine.core.features.sets.alpha158.window_features import SINGLE, WINDOW_BARS
from mlengine.core.features.spec import FeatureSet

ALPHA158 = FeatureSet(
    name="alpha158",
    version=1,
    window_bars=WINDOW_BARS,
    features=(
        *candle.FEATURES,
        *rolling_price.FEATURES,
        *extremes_and_ranks.FEATURES,
        *volume.CORRELATIONS,
        *ups_and_downs.FEATURES,
        *volume.FEATURES,
        *ups_and_downs.VOLUME_FEATURES,
    ),
    parts={
        **SINGLE,
        **{
            name: part
            for each in (candle, rolling_price, extremes_and_ranks, ups_and_downs, volume)
            for name, part in each.PARTS.items()
        },
    },
)
