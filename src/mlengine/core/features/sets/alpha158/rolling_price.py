"""The close against its past, its mean, its deviation and its straight line."""

import polars as pl

from mlengine.core.features.merged_windows import (
    deviations_from_mean,
    squared_deviations,
    time_comoments,
)
from mlengine.core.features.sets.alpha158.window_features import (
    CLOSE,
    STEADY,
    WINDOWS,
    column_for_window,
    features_over_windows,
)


def _time_squared_deviations(d: int) -> float:
    """Sum of squared deviations of 1 … d."""
    return d * (d * d - 1) / 12


def root_squared_deviations(name: str) -> dict[str, pl.Expr]:
    """Parts `name:root:d`, null where the standard deviation is at most STEADY."""
    squares = column_for_window(f"{name}:squared_deviations")
    return {
        f"{name}:root:{d}": pl.when(squares(d) > STEADY**2 * (d - 1)).then(squares(d).sqrt())
        for d in WINDOWS
    }


def standard_deviation(name: str, d: int) -> pl.Expr:
    """Standard deviation of the sample."""
    return (pl.col(f"{name}:squared_deviations:{d}") / (d - 1)).sqrt()


PARTS: dict[str, pl.Expr] = {
    **deviations_from_mean("single close"),
    **squared_deviations("single close"),
    **time_comoments("single close"),
    **root_squared_deviations("single close"),
    **{
        f"slope:{d}": pl.col(f"single close:trend:{d}") / _time_squared_deviations(d)
        for d in WINDOWS
    },
}

_slope, _gap = column_for_window("slope"), column_for_window("single close:gap")


def _straightness(d: int) -> pl.Expr:
    cosine = pl.col(f"single close:trend:{d}") / pl.col(f"single close:root:{d}")
    return (cosine * cosine * (1.0 / _time_squared_deviations(d))).clip(upper_bound=1.0)


FEATURES = (
    *features_over_windows(
        "ROC",
        lambda d: CLOSE.shift(d) / CLOSE,
        formula="close[{d}] / close",
        doc="Close of {d} bars ago against the close.",
        unit="ratio",
        before=1,
        low=0.0,
    ),
    *features_over_windows(
        "MA",
        lambda d: (CLOSE - _gap(d)) / CLOSE,
        formula="mean(close, {d}) / close",
        doc="Mean of {d} closes against the close.",
        unit="ratio",
        low=0.0,
    ),
    *features_over_windows(
        "STD",
        lambda d: standard_deviation("single close", d) / CLOSE,
        formula="std(close, {d}) / close, std of the sample",
        doc="Deviation of {d} closes against the close.",
        unit="fraction",
        low=0.0,
    ),
    *features_over_windows(
        "BETA",
        lambda d: _slope(d) / CLOSE,
        formula="least-squares slope per bar of close over {d} bars / close",
        doc="Slope of the straight line through {d} closes, as a fraction of the close.",
        unit="fraction per bar",
    ),
    *features_over_windows(
        "RSQR",
        _straightness,
        formula="R^2 of the least-squares line of close over {d} bars,"
        " null where std(close, {d}) <= 2e-5",
        doc="How straight the last {d} closes went; null where they hardly move.",
        unit="share",
        low=0.0,
        high=1.0,
        scale_free=False,
    ),
    *features_over_windows(
        "RESI",
        lambda d: (_gap(d) - _slope(d) * ((d - 1) / 2)) / CLOSE,
        formula="(close - value of the least-squares line over {d} bars at the newest) / close",
        doc="Distance of the close from the straight line through {d} closes.",
        unit="fraction",
    ),
)
