"""Windows joined from smaller ones: sums, moments, trends and extremes of 5, 10, 20, 30, 60 bars.

A window of 60 bars is one of 30 and the 30 bars before it, these are 20 and 10, and so on: four
joins lead from 5 bars to all sizes, each a handful of elementwise steps. Every row takes the same
steps, so a value depends on exactly the bars of its window and on nothing else.

Two halves with means m and M, sums of squared deviations s and S, and n and N bars have
together the sum s + S + (m - M)^2 n N / (n + N) (Chan, Golub and LeVeque 1983): only squares
are added, so nothing cancels. Means are kept as distances from the newest value and are made of
first differences, so they never meet the level of the series: a price of 60,000 with noise 0.01
keeps its digits, and a constant series has a sum of squared deviations of 0.

Series that come in must be NaN where they are unknown; parts are null before their first window.
"""

from typing import NamedTuple

import polars as pl

from mlengine.core.features.kernels import lag, mean_gap_weights, total, weighted_sum


class WindowJoin(NamedTuple):
    """A window of `bars` bars: the `newer` ones and the `older` ones before them."""

    bars: int
    newer: int
    older: int

    @property
    def weight(self) -> float:
        return self.newer * self.older / self.bars


BASE = 5
JOINS = (
    WindowJoin(10, 5, 5),
    WindowJoin(20, 10, 10),
    WindowJoin(30, 20, 10),
    WindowJoin(60, 30, 30),
)
# Within the base: the newest two of four bars against the other two, and four against the fifth.
PAIRS, FIFTH = WindowJoin(4, 2, 2), WindowJoin(5, 4, 1)
_SMALL = (WindowJoin(2, 1, 1), PAIRS, FIFTH)


def rolling_sums(name: str) -> dict[str, pl.Expr]:
    """Parts `name:sum:bars`."""
    called = f"{name}:sum"
    joined = {f"{called}:{join.bars}": _halves(called, join) for join in JOINS}
    return {f"{called}:{BASE}": total(pl.col(name), bars=BASE), **joined}


def mean_gaps(name: str) -> dict[str, pl.Expr]:
    """Parts `name:gap:bars`, x less its mean, from `:step:`, the newer less the older mean."""
    step, join = pl.col(f"{name}:step:{JOINS[-1].bars}"), JOINS[-1]
    gap = pl.col(f"{name}:gap:{join.newer}") + step * (join.older / join.bars)
    return {**mean_steps(name), f"{name}:gap:{join.bars}": gap}


def mean_steps(name: str) -> dict[str, pl.Expr]:
    """The mean gaps but the longest, which squared deviations don't need."""
    change = pl.col(f"{name}:change")
    parts = {
        f"{name}:change": pl.col(name) - lag(pl.col(name), bars=1),
        f"{name}:step:{PAIRS.bars}": weighted_sum(change, weights=[0.5, 1.0, 0.5]),
        f"{name}:step:{FIFTH.bars}": weighted_sum(change, weights=[1.0, 0.75, 0.5, 0.25]),
        f"{name}:gap:{BASE}": weighted_sum(change, weights=mean_gap_weights(bars=BASE)),
    }
    for join in JOINS:
        step = pl.col(f"{name}:step:{join.bars}")
        newer, older = (pl.col(f"{name}:gap:{bars}") for bars in (join.newer, join.older))
        between = pl.col(name).diff(join.newer) + older.shift(join.newer)
        parts[f"{name}:step:{join.bars}"] = between - newer
        if join is not JOINS[-1]:
            parts[f"{name}:gap:{join.bars}"] = newer + step * (join.older / join.bars)
    return parts


def squared_deviations(name: str) -> dict[str, pl.Expr]:
    """Parts `name:squared_deviations:bars`: sum of (x - mean)^2. Needs the steps of `name`."""
    return codeviations(name, name, called=f"{name}:squared_deviations")


def codeviations(left: str, right: str, *, called: str) -> dict[str, pl.Expr]:
    """Parts `called:bars`: sum of (x - mean)(y - mean). Needs the steps of both."""
    changes = pl.col(f"{called}:changes")
    inner = (changes + changes.shift(PAIRS.newer)) * 0.5
    return {
        f"{called}:changes": pl.col(f"{left}:change") * pl.col(f"{right}:change"),
        f"{called}:{BASE}": inner + _between(left, right, PAIRS) + _between(left, right, FIFTH),
        **{
            f"{called}:{join.bars}": _halves(called, join) + _between(left, right, join)
            for join in JOINS
        },
    }


def time_codeviations(name: str) -> dict[str, pl.Expr]:
    """Parts `name:trend:bars`: sum of (t - mean)(x - mean), t in bars; needs the steps."""
    called, change = f"{name}:trend", pl.col(f"{name}:change")
    parts = {f"{called}:{BASE}": weighted_sum(change, weights=[2.0, 3.0, 3.0, 2.0])}
    for join in JOINS:
        apart = pl.col(f"{name}:step:{join.bars}") * (join.newer * join.older / 2)
        parts[f"{called}:{join.bars}"] = _halves(called, join) + apart
    return parts


def maxima_and_places(name: str) -> dict[str, pl.Expr]:
    """Parts `name:peak:bars`, the maximum, and `name:place:bars`, where: 1 is the oldest bar.

    The oldest of equal ones counts, as in `np.argmax`. NaN is above all numbers, so a window that
    holds one has the peak NaN; minima are peaks of the negative.
    """
    parts = {}
    for join in (*_SMALL, *JOINS):
        newer, older = _peak(name, join.newer), _peak(name, join.older).shift(join.newer)
        place, before = _place(name, join.newer), _place(name, join.older, back=join.newer)
        earlier = pl.when(pl.col(f"{name}:earlier:{join.bars}"))
        parts[f"{name}:earlier:{join.bars}"] = older >= newer
        # Without older bars there is no peak yet, instead of that of the newer ones.
        latest = newer + (older - older) if join.bars >= BASE else newer
        parts[f"{name}:peak:{join.bars}"] = earlier.then(older).otherwise(latest)
        parts[f"{name}:place:{join.bars}"] = earlier.then(before).otherwise(
            place + float(join.older)
        )
    return parts


def _halves(called: str, join: WindowJoin) -> pl.Expr:
    older = pl.col(f"{called}:{join.older}").shift(join.newer)
    return pl.col(f"{called}:{join.newer}") + older


def _between(left: str, right: str, join: WindowJoin) -> pl.Expr:
    """What a joint sum of squared deviations gains from the distance of the halves' means."""
    steps = pl.col(f"{left}:step:{join.bars}") * pl.col(f"{right}:step:{join.bars}")
    return steps if join.weight == 1.0 else steps * join.weight


def _peak(name: str, bars: int) -> pl.Expr:
    return pl.col(name) if bars == 1 else pl.col(f"{name}:peak:{bars}")


def _place(name: str, bars: int, *, back: int = 0) -> pl.Expr:
    return pl.lit(1.0) if bars == 1 else pl.col(f"{name}:place:{bars}").shift(back)
