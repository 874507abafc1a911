"""Volume: with the price, against its own mean, and weighting the price's moves.

Qlib divides by volume + 1e-12: on a bar without trade VMA and VSTD are of the order of 1e12 times
the usual volume, here as there. A model that should not see such values takes `core`.
"""

import polars as pl

from mlengine.core.features.joined_windows import (
    codeviations,
    mean_gaps,
    mean_steps,
    squared_deviations,
)
from mlengine.core.features.kernels import lag
from mlengine.core.features.sets.alpha158.family import (
    CLOSE,
    EPSILON,
    VOLUME,
    WINDOWS,
    column_of_window,
    family,
)
from mlengine.core.features.sets.alpha158.rolling_price import deviation, root_squared_deviations


def _correlation(left: str, right: str) -> dict[str, pl.Expr]:
    """Parts `left*right:correlation:d`; null where one of the two is steady."""
    together, stem = f"{left}*{right}", f"{left}*{right}:correlation"
    return {
        **codeviations(left, right, called=together),
        **{
            f"{stem}:{d}": (
                pl.col(f"{together}:{d}")
                / (pl.col(f"{left}:root:{d}") * pl.col(f"{right}:root:{d}"))
            ).clip(-1.0, 1.0)
            for d in WINDOWS
        },
    }


def _rooted(name: str) -> dict[str, pl.Expr]:
    return {**mean_steps(name), **squared_deviations(name), **root_squared_deviations(name)}


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
    **mean_gaps("single volume"),
    **squared_deviations("single volume"),
    **mean_gaps("moved volume"),
    **squared_deviations("moved volume"),
}

CORRELATIONS = (
    *family(
        "CORR",
        column_of_window("single close*log volume:correlation"),
        formula="correlation(close, ln(volume + 1), {d}), null where one std <= 2e-5",
        doc="Correlation of close and logarithm of volume over {d} bars; null where one is steady.",
        unit="none",
        low=-1.0,
        high=1.0,
        scale_free=False,
    ),
    *family(
        "CORD",
        column_of_window("return*log volume ratio:correlation"),
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

_gap, _moved_gap = column_of_window("single volume:gap"), column_of_window("moved volume:gap")


FEATURES = (
    *family(
        "VMA",
        lambda d: (VOLUME - _gap(d)) / pl.col("some volume"),
        formula="mean(volume, {d}) / (volume + 1e-12)",
        doc="Mean volume of {d} bars against the bar's; huge on a bar without trade.",
        any_sign=True,
        unit="ratio",
        low=0.0,
    ),
    *family(
        "VSTD",
        lambda d: deviation("single volume", d) / pl.col("some volume"),
        formula="std(volume, {d}) / (volume + 1e-12), std of the sample",
        doc="Deviation of {d} volumes against the bar's; huge on a bar without trade.",
        any_sign=True,
        unit="ratio",
        low=0.0,
    ),
    *family(
        "WVMA",
        lambda d: deviation("moved volume", d) / (pl.col("moved volume") - _moved_gap(d) + EPSILON),
        formula="std(m, {d}) / (mean(m, {d}) + 1e-12), m = abs(close / close[1] - 1) volume,"
        " std of the sample",
        doc="Unevenness of the volume times the price's move over {d} bars.",
        unit="ratio",
        before=1,
        low=0.0,
    ),
)
