"""Second moments of a window without cancellation, from weighted sums alone.

n·Σxy − Σx·Σy loses all digits at a price of 60,000 with noise 0.01. Here each value is split
pointwise into a + b + c (its leading 18 bits, the next 18, the rest: Veltkamp 1968, Dekker 1971);
sums over at most 64 bars of a, b, a·a and a·b, times n, fit into 53 bits and so are exact, and so
are their differences. What is left is small enough for plain sums (at 60,000 with noise 0.01 the
variance errs by 1e-13, where two parts with 20 leading bits err by 7e-9). A window whose maximum is
its minimum has deviation 0.
"""

import polars as pl

from mlengine.core.features.kernels import highest, lowest, total

HEAD_BITS = 18
_MANTISSA_BITS = 53


def split_mantissa_parts(name: str) -> dict[str, pl.Expr]:
    """Parts `name:a`, `:b`, `:c` with a + b + c = x, `:r` = b + c, and the products of a square.

    NaN beyond 1e297.
    """
    x, a, ab = pl.col(name), pl.col(f"{name}:a"), pl.col(f"{name}:ab")
    b, c, r = pl.col(f"{name}:b"), pl.col(f"{name}:c"), pl.col(f"{name}:r")
    for_a, for_ab = pl.col(f"{name}:for a"), pl.col(f"{name}:for ab")
    return {
        f"{name}:for a": x * (2.0 ** (_MANTISSA_BITS - HEAD_BITS) + 1.0),
        f"{name}:for ab": x * (2.0 ** (_MANTISSA_BITS - 2 * HEAD_BITS) + 1.0),
        f"{name}:a": for_a - (for_a - x),
        f"{name}:ab": for_ab - (for_ab - x),
        f"{name}:b": ab - a,
        f"{name}:c": x - ab,
        f"{name}:r": x - a,
        f"{name}:a*a": a * a,
        f"{name}:a*b": a * b,
        f"{name}:rest": 2.0 * a * c + r * r,
    }


def rolling_std_parts(name: str, *, bars: int) -> dict[str, pl.Expr]:
    """Part `name:deviation:bars`: the population standard deviation. Needs the split of `name`.

    Its steps are parts of their own, since a planner's time grows with the depth of expressions.
    """
    n, stem = float(bars), f"{name}:{{}}:{bars}".format
    a, b, c = (pl.col(stem(f"sum {letter}")) for letter in "abc")
    squares, halves, rest = (pl.col(stem(step)) for step in ("squares", "halves", "small"))
    return {
        **{stem(f"sum {letter}"): total(pl.col(f"{name}:{letter}"), bars=bars) for letter in "abc"},
        stem("sum a*a"): total(pl.col(f"{name}:a*a"), bars=bars, each=n),
        stem("sum a*b"): total(pl.col(f"{name}:a*b"), bars=bars, each=2.0 * n),
        stem("sum rest"): total(pl.col(f"{name}:rest"), bars=bars, each=n),
        stem("squares"): pl.col(stem("sum a*a")) - a * a,
        stem("halves"): pl.col(stem("sum a*b")) - 2.0 * a * b,
        stem("small"): pl.col(stem("sum rest")) - (2.0 * a * c + (b + c) * (b + c)),
        stem("highest"): highest(pl.col(name), bars=bars),
        stem("lowest"): lowest(pl.col(name), bars=bars),
        stem("moves"): (pl.col(stem("highest")) - pl.col(stem("lowest"))).sign(),
        stem("deviation"): (squares + halves + rest).clip(lower_bound=0.0).sqrt()
        * (pl.col(stem("moves")) / n),
    }


def rolling_correlation_parts(left: str, right: str, *, bars: int) -> dict[str, pl.Expr]:
    """Part `left*right:correlation:bars`: Pearson's; NaN where one side is constant.

    Needs the split and the deviation of both.
    """
    n, stem = float(bars), f"{left}*{right}:{{}}:{bars}".format
    a, b, c, r = (pl.col(f"{left}:{letter}") for letter in "abcr")
    d, e, f, s = (pl.col(f"{right}:{letter}") for letter in "abcr")
    sa, sb, sc = (pl.col(f"{left}:sum {letter}:{bars}") for letter in "abc")
    sd, se, sf = (pl.col(f"{right}:sum {letter}:{bars}") for letter in "abc")
    heads, halves, rest = (pl.col(stem(step)) for step in ("heads", "halves", "small"))
    left_deviation, right_deviation = (pl.col(f"{x}:deviation:{bars}") for x in (left, right))
    spread = pl.col(stem("spread"))
    return {
        stem("a*d"): a * d,
        stem("a*e"): a * e + b * d,
        stem("rest"): a * f + c * d + r * s,
        stem("sum a*d"): total(pl.col(stem("a*d")), bars=bars, each=n),
        stem("sum a*e"): total(pl.col(stem("a*e")), bars=bars, each=n),
        stem("sum rest"): total(pl.col(stem("rest")), bars=bars, each=n),
        stem("heads"): pl.col(stem("sum a*d")) - sa * sd,
        stem("halves"): pl.col(stem("sum a*e")) - (sa * se + sb * sd),
        stem("small"): pl.col(stem("sum rest")) - (sa * sf + sc * sd + (sb + sc) * (se + sf)),
        stem("spread"): left_deviation * right_deviation * n**2,
        # 0/0 where one side is constant: the clip would make 1 of an infinite quotient.
        stem("correlation"): ((heads + halves + rest) * spread.sign() / spread).clip(-1.0, 1.0),
    }
