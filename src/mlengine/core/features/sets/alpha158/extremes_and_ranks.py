"""Where the close stands among the last prices, and when their extremes were."""

from functools import partial
from itertools import pairwise

import polars as pl

from mlengine.core.features.kernels import added
from mlengine.core.features.merged_windows import rolling_max_and_argmax
from mlengine.core.features.sets.alpha158.window_features import (
    CLOSE,
    EPSILON,
    LOW,
    WINDOWS,
    column_for_window,
    features_over_windows,
)


def _outranked(*, after: int, through: int) -> pl.Expr:
    """Closes of `after` + 1 … `through` bars ago that are below the newest, less those above."""
    return added(CLOSE.diff(age).sign() for age in range(after + 1, through + 1))


PARTS: dict[str, pl.Expr] = {
    # Peaks of -low are the lows; NaN stands above all numbers only.
    "depth": -LOW,
    **rolling_max_and_argmax("single high"),
    **rolling_max_and_argmax("depth"),
    # Quantiles and places of a window that holds NaN are made NaN.
    **{
        f"known close:{d}": CLOSE + (pl.col(f"outranked:{d}") - pl.col(f"outranked:{d}"))
        for d in WINDOWS
    },
    # In bulk about seven times as fast as `rolling_rank`, and NaN where one is.
    "outranked:5": _outranked(after=0, through=4),
    **{
        f"outranked:{d}": pl.col(f"outranked:{less}") + _outranked(after=less - 1, through=d - 1)
        for less, d in pairwise(WINDOWS)
    },
    **{
        f"{stem}:when:{d}": pl.col(f"{series}:place:{d}")
        + (pl.col(f"{series}:peak:{d}") - pl.col(f"{series}:peak:{d}"))
        for stem, series in (("top", "single high"), ("depth", "depth"))
        for d in WINDOWS
    },
}

_share = partial(features_over_windows, unit="share", low=0.0, high=1.0)
_top, _depth = column_for_window("single high:peak"), column_for_window("depth:peak")
_outranked_by, _known_close = column_for_window("outranked"), column_for_window("known close")
_when_top, _when_low = column_for_window("top:when"), column_for_window("depth:when")


FEATURES = (
    *features_over_windows(
        "MAX",
        lambda d: _top(d) / CLOSE,
        formula="max(high, {d}) / close",
        doc="Highest high of {d} bars against the close.",
        unit="ratio",
        low=1.0,
    ),
    *features_over_windows(
        "MIN",
        lambda d: -_depth(d) / CLOSE,
        formula="min(low, {d}) / close",
        doc="Lowest low of {d} bars against the close.",
        unit="ratio",
        low=0.0,
        high=1.0,
    ),
    *features_over_windows(
        "QTLU",
        lambda d: CLOSE.rolling_quantile(0.8, "linear", d) / _known_close(d),
        formula="quantile(close, {d}, 0.8) / close, linear between ranks",
        doc="Upper quintile of {d} closes against the close.",
        unit="ratio",
        low=0.0,
    ),
    *features_over_windows(
        "QTLD",
        lambda d: CLOSE.rolling_quantile(0.2, "linear", d) / _known_close(d),
        formula="quantile(close, {d}, 0.2) / close, linear between ranks",
        doc="Lower quintile of {d} closes against the close.",
        unit="ratio",
        low=0.0,
    ),
    *_share(
        "RANK",
        lambda d: (_outranked_by(d) + (d + 1.0)) / (2.0 * d),
        formula="rank(close, {d}) / {d}, ties at their average",
        doc="Share of the last {d} closes that are not above the close.",
        any_sign=True,
    ),
    *_share(
        "RSV",
        lambda d: (CLOSE + _depth(d)) / (_top(d) + _depth(d) + EPSILON),
        formula="(close - min(low, {d})) / (max(high, {d}) - min(low, {d}) + 1e-12)",
        doc="Place of the close in the range of {d} bars.",
        any_sign=True,
        scale_free=False,
    ),
    *_share(
        "IMAX",
        lambda d: _when_top(d) / d,
        formula="place of max(high, {d}) / {d}, 1 is the oldest bar, the oldest of equal ones",
        doc="When in {d} bars the highest high was.",
        any_sign=True,
    ),
    *_share(
        "IMIN",
        lambda d: _when_low(d) / d,
        formula="place of min(low, {d}) / {d}, 1 is the oldest bar, the oldest of equal ones",
        doc="When in {d} bars the lowest low was.",
        any_sign=True,
    ),
    *features_over_windows(
        "IMXD",
        lambda d: (_when_top(d) - _when_low(d)) / d,
        formula="(place of max(high, {d}) - place of min(low, {d})) / {d}",
        doc="How long after the lowest low of {d} bars the highest high came.",
        any_sign=True,
        unit="share",
        low=-1.0,
        high=1.0,
    ),
)
