"""Where the price went: returns over several spans, the newest bar's shape, and the weekday."""

import math

import polars as pl

from mlengine.core.features.kernels import change_ratio, lag, past
from mlengine.core.features.spec import Feature

OPEN, HIGH, LOW, CLOSE = (pl.col(name) for name in ("open", "high", "low", "close"))

# Shared by all families; `change` and `return` are of the close against the one before.
PARTS: dict[str, pl.Expr] = {
    "previous": lag(CLOSE, bars=1),
    "change": CLOSE - pl.col("previous"),
    "return": pl.col("change") / pl.col("previous"),
    "range": HIGH - LOW,
    "weekday": pl.col("timestamp").dt.weekday().cast(pl.Float64) * (2.0 * math.pi / 7.0),
}


def _past_return(bars: int) -> Feature:
    return Feature(
        name=f"return_{bars}",
        expr=change_ratio(CLOSE, past(CLOSE, bars=bars)),
        formula=f"(close - close[{bars}]) / close[{bars}]",
        bars=bars + 1,
        unit="fraction",
        source="Jegadeesh and Titman 1993 (momentum), simple return",
        doc=f"Simple return of the close over {bars} bar{'s' * (bars > 1)}.",
        low=-1.0,
    )


FEATURES = (
    *(_past_return(bars) for bars in (1, 3, 5, 10, 20, 60)),
    Feature(
        name="gap",
        expr=change_ratio(OPEN, pl.col("previous")),
        formula="(open - close[1]) / close[1]",
        bars=2,
        unit="fraction",
        source="common usage (opening gap)",
        doc="Return from the previous close to this open.",
        low=-1.0,
    ),
    Feature(
        name="body",
        expr=change_ratio(CLOSE, OPEN),
        formula="(close - open) / open",
        bars=1,
        unit="fraction",
        source="Nison 1991 (candlestick body); Qlib KMID",
        doc="Return from this open to this close.",
        low=-1.0,
    ),
    Feature(
        name="close_in_range",
        any_sign=True,
        expr=(CLOSE - LOW) / pl.col("range"),
        formula="(close - low) / (high - low)",
        bars=1,
        unit="share",
        source="Chaikin 1966 (close location, from 0 to 1)",
        doc="Place of the close between low and high; null where they are equal.",
        low=0.0,
        high=1.0,
    ),
    Feature(
        name="weekday_sin",
        any_sign=True,
        expr=pl.col("weekday").sin(),
        formula="sin(2 pi weekday / 7), Monday = 1",
        bars=1,
        unit="none",
        source="common usage (cyclic encoding); French 1980 (weekday effect)",
        doc="Sine of the bar's UTC weekday on a circle of seven.",
        low=-1.0,
        high=1.0,
    ),
    Feature(
        name="weekday_cos",
        any_sign=True,
        expr=pl.col("weekday").cos(),
        formula="cos(2 pi weekday / 7), Monday = 1",
        bars=1,
        unit="none",
        source="common usage (cyclic encoding); French 1980 (weekday effect)",
        doc="Cosine of the bar's UTC weekday on a circle of seven.",
        low=-1.0,
        high=1.0,
    ),
)
