"""Windows joined from smaller ones: sums, moments, trends and extremes of 2, 4, 5, … 60 bars.

A window of 60 bars is one of 30 and the 30 bars before it, these are 20 and 10, and so on: seven
joins give all sizes, each a handful of elementwise steps. Every step is the same for every row, so
a value depends on exactly the bars of its window and on nothing else.

Two halves with means m and M, scatters (sums of squared deviations) s and S, and n and N bars have
together the scatter s + S + (m − M)² n N/(n + N) (Chan, Golub and LeVeque 1983): only squares are
added, so nothing cancels. Means are kept as the distance from the newest value and never meet the
level of the series: price 60,000 with noise 0.01 keeps 14 digits, and a constant series has 0.

Parts hold null before their first full window.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl


class Join(NamedTuple):
    """A window of `bars` bars: the `newer` ones and the `older` ones before them."""

    bars: int
    newer: int
    older: int

    @property
    def weight(self) -> float:
        return self.newer * self.older / self.bars


JOINS = (
    Join(2, 1, 1),
    Join(4, 2, 2),
    Join(5, 4, 1),
    Join(10, 5, 5),
    Join(20, 10, 10),
    Join(30, 20, 10),
    Join(60, 30, 30),
)


def sums(name: str) -> dict[str, pl.Expr]:
    """Parts `name:sum:bars`."""
    return {
        f"{name}:sum:{join.bars}": _or_self(name, "sum", join.newer)
        + _or_self(name, "sum", join.older).shift(join.newer)
        for join in JOINS
    }


def gaps(name: str) -> dict[str, pl.Expr]:
    """Parts `name:gap:bars`, x less its mean, from `:step:`, the newer less the older mean."""
    parts = {}
    for join in JOINS:
        step = pl.col(f"{name}:step:{join.bars}") * (join.older / join.bars)
        newer = _beyond_one(name, "gap", join.newer)
        parts[f"{name}:step:{join.bars}"] = _step(name, join)
        parts[f"{name}:gap:{join.bars}"] = step if newer is None else newer + step
    return parts


def scatters(name: str) -> dict[str, pl.Expr]:
    """Parts `name:scatter:bars`: sum of (x − mean)². Needs the gaps of `name`."""
    return joint_scatters(name, name, called=f"{name}:scatter")


def joint_scatters(left: str, right: str, *, called: str) -> dict[str, pl.Expr]:
    """Parts `called:bars`: sum of (x − mean)(y − mean). Needs the gaps of both."""
    parts = {}
    for join in JOINS:
        steps = pl.col(f"{left}:step:{join.bars}") * pl.col(f"{right}:step:{join.bars}")
        parts[f"{called}:{join.bars}"] = _joined(called, join, steps * join.weight)
    return parts


def trends(name: str) -> dict[str, pl.Expr]:
    """Parts `name:trend:bars`: sum of (t − mean)(x − mean), t in bars. Needs the gaps of `name`."""
    called = f"{name}:trend"
    return {
        f"{called}:{join.bars}": _joined(
            called, join, pl.col(f"{name}:step:{join.bars}") * (join.newer * join.older / 2)
        )
        for join in JOINS
    }


def peaks(name: str) -> dict[str, pl.Expr]:
    """Parts `name:peak:bars`, the maximum, and `name:place:bars`, where: 1 is the oldest bar.

    The oldest of equal ones counts, as in `np.argmax`. NaN is above all numbers, so a window that
    holds one has the peak NaN; minima are peaks of the negative.
    """
    parts = {}
    for join in JOINS:
        newer, older = (_or_self(name, "peak", bars) for bars in (join.newer, join.older))
        place, before = _place(name, join.newer), _place(name, join.older, back=join.newer)
        earlier = pl.when(pl.col(f"{name}:earlier:{join.bars}"))
        parts[f"{name}:earlier:{join.bars}"] = older.shift(join.newer) >= newer
        parts[f"{name}:peak:{join.bars}"] = earlier.then(older.shift(join.newer)).otherwise(newer)
        parts[f"{name}:place:{join.bars}"] = earlier.then(before).otherwise(
            place + float(join.older)
        )
    return parts


def _step(name: str, join: Join) -> pl.Expr:
    """Mean of the newer less mean of the older bars, from differences alone."""
    step = pl.col(name) - pl.col(name).shift(join.newer)
    older = _beyond_one(name, "gap", join.older)
    newer = _beyond_one(name, "gap", join.newer)
    step = step if older is None else step + older.shift(join.newer)
    return step if newer is None else step - newer


def _joined(called: str, join: Join, between: pl.Expr) -> pl.Expr:
    """The sums within the two halves and the one between them; a single bar has none."""
    if join.newer == 1:
        return between
    newer = pl.col(f"{called}:{join.newer}")
    if join.older == 1:
        return newer + between
    return newer + pl.col(f"{called}:{join.older}").shift(join.newer) + between


def _or_self(name: str, kind: str, bars: int) -> pl.Expr:
    """A part of a window, which for a single bar is the series itself."""
    return pl.col(name) if bars == 1 else pl.col(f"{name}:{kind}:{bars}")


def _beyond_one(name: str, kind: str, bars: int) -> pl.Expr | None:
    return None if bars == 1 else pl.col(f"{name}:{kind}:{bars}")


def _place(name: str, bars: int, *, back: int = 0) -> pl.Expr:
    return pl.lit(1.0) if bars == 1 else pl.col(f"{name}:place:{bars}").shift(back)
