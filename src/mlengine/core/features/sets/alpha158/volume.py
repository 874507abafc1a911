"""Volume: with the price, against its own mean, and weighting the price's moves.

Qlib divides by volume + 1e-12: on a bar without trade VMA and VSTD are of the order of 1e12 times
the usual volume, here as there. A model that should not see such values takes `core`.
"""

import polars as pl

from mlengine.core.features.kernels import lag
from mlengine.core.features.merged_windows import (
    comoments,
    deviations_from_mean,
    mean_differences,
    squared_deviations,
)
from mlengine.core.features.sets.alpha158.rolling_price import (
    root_squared_deviations,
    standard_deviation,
)
from mlengine.core.features.sets.alpha158.window_features import (
    CLOSE,
    EPSILON,
    VOLUME,
    WINDOWS,
    column_for_window,
    features_over_windows,
)


def _correlation(left: str, right: str) -> dict[str, pl.Expr]:
    """Parts `left*right:correlation:d`; null where one of the two is steady."""
    together, stem = f"{left}*{right}", f"{left}*{right}:correlation"
    return {
        **comoments(left, right, prefix=together),
        **{
            f"{stem}:{d}": (
                pl.col(f"{together}:{d}")
                / (pl.col(f"{left}:root:{d}") * pl.col(f"{right}:root:{d}"))
            ).clip(-1.0, 1.0)
            for d in WINDOWS
        },
    }


def _rooted(name: str) -> dict[str, pl.Expr]:
    return {**mean_differences(name), **squared_deviations(name), **root_squared_deviations(name)}


PARTS: dict[str, pl.Expr] = {
    "return": pl.col("single close:change") / lag(CLOSE, bars=1),
    "log volume": VOLUME.log1p(),
    "log volume ratio": (VOLUME / lag(VOLUME, bars=1)).log1p(),
    "moved volume": pl.col("return").abs() * VOLUME,
    "some volume": VOLUME + EPSILON,
    **_rooted("log volume"),
    **_correlation("single close", "log volume"),
    **_rooted("return"),
    **_rooted("log volume ratio"),
    **_correlation("return", "log volume ratio"),
    **deviations_from_mean("single volume"),
    **squared_deviations("single volume"),
    **deviations_from_mean("moved volume"),
    **squared_deviations("moved volume"),
}

CORRELATIONS = (
    *features_over_windows(
        "CORR",
        column_for_window("single close*log volume:correlation"),
        formula="correlation(close, ln(volume + 1), {d}), null where one std <= 2e-5",
        doc="Correlation of close and logarithm of volume over {d} bars; null where one is steady.",
        unit="none",
        low=-1.0,
        high=1.0,
        scale_free=False,
    ),
    *features_over_windows(
        "CORD",
        column_for_window("return*log volume ratio:correlation"),
        formula="correlation(close / close[1], ln(volume / volume[1] + 1), {d}),"
        " null where one std <= 2e-5",
        doc="Correlation of the moves of close and volume over {d} bars; null where one is steady"
        " and after a bar without trade.",
        unit="none",
        before=1,
        low=-1.0,
        high=1.0,
    ),
)

_gap, _moved_gap = column_for_window("single volume:gap"), column_for_window("moved volume:gap")


FEATURES = (
    *features_over_windows(
        "VMA",
        lambda d: (VOLUME - _gap(d)) / pl.col("some volume"),
        formula="mean(volume, {d}) / (volume + 1e-12)",
        doc="Mean volume of {d} bars against the bar's; huge on a bar without trade.",
        any_sign=True,
        unit="ratio",
        low=0.0,
    ),
    *features_over_windows(
        "VSTD",
        lambda d: standard_deviation("single volume", d) / pl.col("some volume"),
        formula="std(volume, {d}) / (volume + 1e-12), std of the sample",
        doc="Deviation of {d} volumes against the bar's; huge on a bar without trade.",
        any_sign=True,
        unit="ratio",
        low=0.0,
    ),
    *features_over_windows(
        "WVMA",
        lambda d: (
            standard_deviation("moved volume", d)
            / (pl.col("moved volume") - _moved_gap(d) + EPSILON)
        ),
        formula="std(m, {d}) / (mean(m, {d}) + 1e-12), m = abs(close / close[1] - 1) volume,"
        " std of the sample",
        doc="Unevenness of the volume times the price's move over {d} bars.",
        unit="ratio",
        before=1,
        low=0.0,
    ),
)
