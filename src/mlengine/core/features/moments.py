"""Second moments of a window without cancellation, from weighted sums alone.

n·Σxy − Σx·Σy loses all digits at a price of 60,000 with noise 0.01. Here each value is split
pointwise into a + b + c (its leading 18 bits, the next 18, the rest: Veltkamp 1968, Dekker 1971);
sums over at most 64 bars of a, b, a·a and a·b, times n, fit into 53 bits and so are exact, and so
are their differences. What is left is small enough for plain sums. A window of equal values gives
exactly 0.
"""

from __future__ import annotations

import polars as pl

from mlengine.core.features.kernels import total

HEAD_BITS = 18
_MANTISSA_BITS = 53


def leading_bits(x: pl.Expr, *, bits: int) -> pl.Expr:
    """`x` rounded to its leading `bits` significant bits (Veltkamp); NaN beyond 1e297."""
    scaled = x * (2.0 ** (_MANTISSA_BITS - bits) + 1.0)
    return scaled - (scaled - x)


def split_parts(name: str) -> dict[str, pl.Expr]:
    """Parts `name:a`, `:b`, `:c` with a + b + c = x, `:r` = b + c, and the products of a square."""
    x, a, ab = pl.col(name), pl.col(f"{name}:a"), pl.col(f"{name}:ab")
    b, c, r = pl.col(f"{name}:b"), pl.col(f"{name}:c"), pl.col(f"{name}:r")
    return {
        f"{name}:a": leading_bits(x, bits=HEAD_BITS),
        f"{name}:ab": leading_bits(x, bits=2 * HEAD_BITS),
        f"{name}:b": ab - a,
        f"{name}:c": x - ab,
        f"{name}:r": x - a,
        f"{name}:aa": a * a,
        f"{name}:2ab": 2.0 * a * b,
        f"{name}:rest": 2.0 * a * c + r * r,
    }


def sum_parts(name: str, *, bars: int) -> dict[str, pl.Expr]:
    """Parts `name:a:sum:bars` …: sums over `bars` bars of the split value."""
    return {f"{name}:{p}:sum:{bars}": total(pl.col(f"{name}:{p}"), bars=bars) for p in "abcr"}


def square_parts(name: str, *, bars: int) -> dict[str, pl.Expr]:
    """Part `name:square:bars`: n·Σx² − (Σx)², which is n² times the population variance."""
    n = float(bars)
    a, b, c, r = (pl.col(f"{name}:{p}:sum:{bars}") for p in "abcr")
    aa, ab, rest = (
        total(pl.col(f"{name}:{product}"), bars=bars, each=n) for product in ("aa", "2ab", "rest")
    )
    exact = (aa - a * a) + (ab - 2.0 * a * b)
    return {
        **sum_parts(name, bars=bars),
        f"{name}:square:{bars}": (exact + (rest - 2.0 * a * c - r * r)).clip(lower_bound=0.0),
    }


def cross_parts(left: str, right: str, *, bars: int) -> dict[str, pl.Expr]:
    """Part `left*right:bars`: n·Σxy − Σx·Σy. Needs the sums of both."""
    n = float(bars)
    a, b, c, r = (pl.col(f"{left}:{p}") for p in "abcr")
    d, e, f, s = (pl.col(f"{right}:{p}") for p in "abcr")
    sa, sb, sc, sr = (pl.col(f"{left}:{p}:sum:{bars}") for p in "abcr")
    sd, se, sf, ss = (pl.col(f"{right}:{p}:sum:{bars}") for p in "abcr")
    pair = f"{left}*{right}"
    heads, halves, rest = (pl.col(f"{pair}:{product}") for product in ("heads", "halves", "rest"))
    exact = (total(heads, bars=bars, each=n) - sa * sd) + (
        total(halves, bars=bars, each=n) - (sa * se + sb * sd)
    )
    small = total(rest, bars=bars, each=n) - (sa * sf + sc * sd + sr * ss)
    return {
        f"{pair}:heads": a * d,
        f"{pair}:halves": a * e + b * d,
        f"{pair}:rest": a * f + c * d + r * s,
        f"{pair}:{bars}": exact + small,
    }


def deviation(name: str, *, bars: int) -> pl.Expr:
    """Population standard deviation over `bars` bars, of the part made by `square_parts`."""
    return pl.col(f"{name}:square:{bars}").sqrt() / bars


def correlation(left: str, right: str, *, bars: int) -> pl.Expr:
    """Pearson correlation over `bars` bars, in [−1, 1]; NaN where one side is constant."""
    spread = pl.col(f"{left}:square:{bars}").sqrt() * pl.col(f"{right}:square:{bars}").sqrt()
    return (pl.col(f"{left}*{right}:{bars}") / spread).clip(-1.0, 1.0)
