"""Windows merged from smaller ones: sums, moments, trends and extremes of 5, 10, 20, 30, 60 bars.

A window of 60 bars is one of 30 and the 30 bars before it, these are 20 and 10, and so on: four
merges lead from 5 bars to all sizes, each a handful of elementwise steps. Every row takes the same
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


class WindowMerge(NamedTuple):
    """A window of `bars` bars: the `newer` ones and the `older` ones before them."""

    bars: int
    newer: int
    older: int

    @property
    def weight(self) -> float:
        return self.newer * self.older / self.bars


BASE = 5
MERGES = (
    WindowMerge(10, 5, 5),
    WindowMerge(20, 10, 10),
    WindowMerge(30, 20, 10),
    WindowMerge(60, 30, 30),
)
# Within the base: the newest two of four bars against the other two, and four against the fifth.
PAIRS, FIFTH = WindowMerge(4, 2, 2), WindowMerge(5, 4, 1)
_SMALL = (WindowMerge(2, 1, 1), PAIRS, FIFTH)


def rolling_sums(name: str) -> dict[str, pl.Expr]:
    """Parts `name:sum:bars`."""
    prefix = f"{name}:sum"
    merged = {f"{prefix}:{merge.bars}": _halves(prefix, merge) for merge in MERGES}
    return {f"{prefix}:{BASE}": total(pl.col(name), bars=BASE), **merged}


def deviations_from_mean(name: str) -> dict[str, pl.Expr]:
    """Parts `name:gap:bars`, x less its mean, from `:step:`, the newer less the older mean."""
    step, merge = pl.col(f"{name}:step:{MERGES[-1].bars}"), MERGES[-1]
    gap = pl.col(f"{name}:gap:{merge.newer}") + step * (merge.older / merge.bars)
    return {**mean_differences(name), f"{name}:gap:{merge.bars}": gap}


def mean_differences(name: str) -> dict[str, pl.Expr]:
    """The mean gaps but the longest, which squared deviations don't need."""
    change = pl.col(f"{name}:change")
    parts = {
        f"{name}:change": pl.col(name) - lag(pl.col(name), bars=1),
        f"{name}:step:{PAIRS.bars}": weighted_sum(change, weights=[0.5, 1.0, 0.5]),
        f"{name}:step:{FIFTH.bars}": weighted_sum(change, weights=[1.0, 0.75, 0.5, 0.25]),
        f"{name}:gap:{BASE}": weighted_sum(change, weights=mean_gap_weights(bars=BASE)),
    }
    for merge in MERGES:
        step = pl.col(f"{name}:step:{merge.bars}")
        newer, older = (pl.col(f"{name}:gap:{bars}") for bars in (merge.newer, merge.older))
        between = pl.col(name).diff(merge.newer) + older.shift(merge.newer)
        parts[f"{name}:step:{merge.bars}"] = between - newer
        if merge is not MERGES[-1]:
            parts[f"{name}:gap:{merge.bars}"] = newer + step * (merge.older / merge.bars)
    return parts


def squared_deviations(name: str) -> dict[str, pl.Expr]:
    """Parts `name:squared_deviations:bars`: sum of (x - mean)^2. Needs the steps of `name`."""
    return comoments(name, name, prefix=f"{name}:squared_deviations")


def comoments(left: str, right: str, *, prefix: str) -> dict[str, pl.Expr]:
    """Parts `prefix:bars`: sum of (x - mean)(y - mean). Needs the steps of both."""
    changes = pl.col(f"{prefix}:changes")
    inner = (changes + changes.shift(PAIRS.newer)) * 0.5
    return {
        f"{prefix}:changes": pl.col(f"{left}:change") * pl.col(f"{right}:change"),
        f"{prefix}:{BASE}": inner + _between(left, right, PAIRS) + _between(left, right, FIFTH),
        **{
            f"{prefix}:{merge.bars}": _halves(prefix, merge) + _between(left, right, merge)
            for merge in MERGES
        },
    }


def time_comoments(name: str) -> dict[str, pl.Expr]:
    """Parts `name:trend:bars`: sum of (t - mean)(x - mean), t in bars; needs the steps."""
    prefix, change = f"{name}:trend", pl.col(f"{name}:change")
    parts = {f"{prefix}:{BASE}": weighted_sum(change, weights=[2.0, 3.0, 3.0, 2.0])}
    for merge in MERGES:
        apart = pl.col(f"{name}:step:{merge.bars}") * (merge.newer * merge.older / 2)
        parts[f"{prefix}:{merge.bars}"] = _halves(prefix, merge) + apart
    return parts


def rolling_max_and_argmax(name: str) -> dict[str, pl.Expr]:
    """Parts `name:peak:bars`, the maximum, and `name:place:bars`, where: 1 is the oldest bar.

    The oldest of equal ones counts, as in `np.argmax`. NaN is above all numbers, so a window that
    holds one has the peak NaN; minima are peaks of the negative.
    """
    parts = {}
    for merge in (*_SMALL, *MERGES):
        newer, older = _peak(name, merge.newer), _peak(name, merge.older).shift(merge.newer)
        place, before = _place(name, merge.newer), _place(name, merge.older, back=merge.newer)
        earlier = pl.when(pl.col(f"{name}:earlier:{merge.bars}"))
        parts[f"{name}:earlier:{merge.bars}"] = older >= newer
        # Without older bars there is no peak yet, instead of that of the newer ones.
        latest = newer + (older - older) if merge.bars >= BASE else newer
        parts[f"{name}:peak:{merge.bars}"] = earlier.then(older).otherwise(latest)
        parts[f"{name}:place:{merge.bars}"] = earlier.then(before).otherwise(
            place + float(merge.older)
        )
    return parts


def _halves(prefix: str, merge: WindowMerge) -> pl.Expr:
    older = pl.col(f"{prefix}:{merge.older}").shift(merge.newer)
    return pl.col(f"{prefix}:{merge.newer}") + older


def _between(left: str, right: str, merge: WindowMerge) -> pl.Expr:
    """What a joint sum of squared deviations gains from the distance of the halves' means."""
    steps = pl.col(f"{left}:step:{merge.bars}") * pl.col(f"{right}:step:{merge.bars}")
    return steps if merge.weight == 1.0 else steps * merge.weight


def _peak(name: str, bars: int) -> pl.Expr:
    return pl.col(name) if bars == 1 else pl.col(f"{name}:peak:{bars}")


def _place(name: str, bars: int, *, back: int = 0) -> pl.Expr:
    return pl.lit(1.0) if bars == 1 else pl.col(f"{name}:place:{bars}").shift(back)
