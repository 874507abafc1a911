"""How often and how far close and volume rose and fell."""

from functools import partial

import polars as pl

from mlengine.core.features.merged_windows import rolling_sums
from mlengine.core.features.sets.alpha158.window_features import (
    EPSILON,
    WINDOWS,
    column_for_window,
    features_over_windows,
)
from mlengine.core.features.spec import Feature


def _ups_and_downs(name: str) -> dict[str, pl.Expr]:
    """Sums of the rises, of the falls and of both of a series whose gaps are known."""
    rise, fall, change = f"{name}:rise", f"{name}:fall", pl.col(f"{name}:change")
    rises, falls = column_for_window(f"{rise}:sum"), column_for_window(f"{fall}:sum")
    return {
        rise: change.clip(lower_bound=0.0),
        # Exact: one of rise and fall is 0.
        fall: pl.col(rise) - change,
        **rolling_sums(rise),
        **rolling_sums(fall),
        **{f"{name}:way:{d}": rises(d) + falls(d) + EPSILON for d in WINDOWS},
    }


PARTS: dict[str, pl.Expr] = {
    "side": pl.col("single close:change").sign(),
    "moved": pl.col("side") * pl.col("side"),
    **rolling_sums("side"),
    **rolling_sums("moved"),
    **_ups_and_downs("single close"),
    **_ups_and_downs("single volume"),
}

_share = partial(features_over_windows, unit="share", before=1, high=1.0)
_sides, _moved = column_for_window("side:sum"), column_for_window("moved:sum")

COUNTS = (
    *_share(
        "CNTP",
        lambda d: (_moved(d) + _sides(d)) / (2.0 * d),
        formula="mean(close > close[1], {d})",
        doc="Share of rising closes in {d} bars.",
        any_sign=True,
        low=0.0,
    ),
    *_share(
        "CNTN",
        lambda d: (_moved(d) - _sides(d)) / (2.0 * d),
        formula="mean(close < close[1], {d})",
        doc="Share of falling closes in {d} bars.",
        any_sign=True,
        low=0.0,
    ),
    *_share(
        "CNTD",
        lambda d: _sides(d) / d,
        formula="mean(close > close[1], {d}) - mean(close < close[1], {d})",
        doc="Share of rising less share of falling closes in {d} bars.",
        any_sign=True,
        low=-1.0,
    ),
)


def _sum_shares(prefix: str, name: str, *, scale_free: bool) -> tuple[Feature, ...]:
    rises, falls, way = (
        column_for_window(f"single {name}:{part}") for part in ("rise:sum", "fall:sum", "way")
    )
    moves = f"(sum(abs({name} - {name}[1]), {{d}}) + 1e-12)"
    up, down = (f"sum(max({step}, 0), {{d}})" for step in _steps(name))
    return (
        *_share(
            f"{prefix}P",
            lambda d: rises(d) / way(d),
            formula=f"{up} / {moves}",
            doc=f"Share of the rises in the moves of the {name} over {{d}} bars.",
            low=0.0,
            scale_free=scale_free,
            any_sign=True,
        ),
        *_share(
            f"{prefix}N",
            lambda d: falls(d) / way(d),
            formula=f"{down} / {moves}",
            doc=f"Share of the falls in the moves of the {name} over {{d}} bars.",
            low=0.0,
            scale_free=scale_free,
            any_sign=True,
        ),
        *_share(
            f"{prefix}D",
            lambda d: (rises(d) - falls(d)) / way(d),
            formula=f"({up} - {down}) / {moves}",
            doc=f"Share of the rises less that of the falls of the {name} over {{d}} bars.",
            low=-1.0,
            scale_free=scale_free,
            any_sign=True,
        ),
    )


def _steps(name: str) -> tuple[str, str]:
    return f"{name} - {name}[1]", f"{name}[1] - {name}"


FEATURES = (*COUNTS, *_sum_shares("SUM", "close", scale_free=False))
VOLUME_FEATURES = _sum_shares("VSUM", "volume", scale_free=True)
