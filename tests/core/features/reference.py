"""The features of `core` in plain Python over one window of 64 bars, exact where it matters.

Means, deviations, slopes and correlations are two-pass in rational arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

import polars as pl

Numbers = Sequence[float]


def exact(values: Numbers) -> list[Fraction]:
    return [Fraction(value) for value in values]


def root(value: Fraction) -> float:
    """Square root of a rational that may be far smaller than a double's square."""
    if value <= 0:
        return 0.0
    shift = 2 * (200 + value.denominator.bit_length() - value.numerator.bit_length())
    shift = max(shift, 0) & ~1
    return float(Fraction(math.isqrt(int(value * 2**shift)), 2 ** (shift // 2)))


def average(values: Numbers) -> Fraction:
    return sum(exact(values), Fraction(0)) / len(values)


def gap(values: Numbers) -> Fraction:
    return Fraction(values[-1]) - average(values)


def covariance(left: Numbers, right: Numbers) -> Fraction:
    x, y, mx, my = exact(left), exact(right), average(left), average(right)
    return sum(((a - mx) * (b - my) for a, b in zip(x, y, strict=True)), Fraction(0)) / len(x)


def deviation(values: Numbers) -> float:
    return root(covariance(values, values))


def slope(values: Numbers) -> Fraction:
    steps = [float(i) for i in range(len(values))]
    return covariance(steps, values) / covariance(steps, steps)


def straightness(values: Numbers) -> float | None:
    steps = [float(i) for i in range(len(values))]
    spread = covariance(values, values) * covariance(steps, steps)
    return float(covariance(steps, values) ** 2 / spread) if spread else None


def correlation(left: Numbers, right: Numbers) -> float | None:
    spread = root(covariance(left, left)) * root(covariance(right, right))
    return float(covariance(left, right)) / spread if spread else None


def smoothed(values: Numbers, alpha: float) -> float:
    weights = [(1.0 - alpha) ** age for age in range(len(values))]
    products = [w * v for w, v in zip(weights, reversed(values), strict=True)]
    return math.fsum(products) / math.fsum(weights)


def ratio(top: float | Fraction, bottom: float | Fraction) -> float | None:
    return float(top / bottom) if bottom else None


def stochastic(high: Numbers, low: Numbers, close: float) -> float | None:
    return ratio(close - min(low), max(high) - min(low))


def signed(step: float, value: float) -> float:
    return value * ((step > 0) - (step < 0))


def features(bars: pl.DataFrame) -> dict[str, float | None]:
    """The features of the last of at least 64 bars of one symbol."""
    bars = bars.tail(64)
    o, h, low, c, v = (bars[name].to_list() for name in ("open", "high", "low", "close", "volume"))
    return {
        **movement(o, h, low, c, bars["timestamp"].item(-1)),
        **volatility(o, h, low, c),
        **trend(c),
        **channels(h, low, c),
        **volume(h, low, c, v),
    }


def movement(
    o: Numbers, h: Numbers, low: Numbers, c: Numbers, at: datetime
) -> dict[str, float | None]:
    angle = 2 * math.pi * at.isoweekday() / 7
    return {
        **{
            f"return_{n}": ratio(Fraction(c[-1]) - Fraction(c[-1 - n]), Fraction(c[-1 - n]))
            for n in (1, 3, 5, 10, 20, 60)
        },
        "gap": ratio(Fraction(o[-1]) - Fraction(c[-2]), Fraction(c[-2])),
        "body": ratio(Fraction(c[-1]) - Fraction(o[-1]), Fraction(o[-1])),
        "close_in_range": ratio(c[-1] - low[-1], h[-1] - low[-1]),
        "weekday_sin": math.sin(angle),
        "weekday_cos": math.cos(angle),
    }


def returns(c: Numbers, n: int) -> list[float]:
    return [
        float((Fraction(b) - Fraction(a)) / Fraction(a))
        for a, b in zip(c[-n - 1 : -1], c[-n:], strict=True)
    ]


def true_ranges(h: Numbers, low: Numbers, c: Numbers) -> list[float]:
    return [max(h[i], c[i - 1]) - min(low[i], c[i - 1]) for i in range(1, len(c))]


def volatility(o: Numbers, h: Numbers, low: Numbers, c: Numbers) -> dict[str, float | None]:
    energy = {n: math.fsum(r * r for r in returns(c, n)) for n in (5, 20, 60)}
    last = returns(c, 20)
    spans = [math.log(a / b) for a, b in zip(h[-20:], low[-20:], strict=True)]
    bodies = [math.log(a / b) for a, b in zip(c[-20:], o[-20:], strict=True)]
    klass = [
        0.5 * s * s - (2 * math.log(2) - 1) * b * b for s, b in zip(spans, bodies, strict=True)
    ]
    ranges = true_ranges(h, low, c)
    atr = smoothed(ranges, 1 / 14)
    short = ratio(energy[5] / 5, energy[60] / 60)
    return {
        **{f"volatility_{n}": math.sqrt(energy[n] / n) for n in energy},
        "volatility_ratio_5_60": None if short is None else math.sqrt(short),
        "parkinson_20": math.sqrt(math.fsum(s * s for s in spans) / (80 * math.log(2))),
        "garman_klass_20": math.sqrt(math.fsum(klass) / 20),
        "atr_ratio_14": atr / c[-1],
        "range_expansion_14": ratio(ranges[-1], atr),
        "downside_share_20": ratio(math.fsum(r * r for r in last if r < 0), energy[20]),
        "skew_20": ratio(math.sqrt(20) * math.fsum(r**3 for r in last), energy[20] ** 1.5),
    }


def trend(c: Numbers) -> dict[str, float | None]:
    def macd(values: Numbers) -> float:
        return smoothed(values[-54:], 2 / 13) - smoothed(values[-54:], 2 / 27)

    line = [macd(c[: len(c) - age]) for age in range(9, -1, -1)]
    steps = [b - a for a, b in pairwise(c)]
    bands, long = deviation(c[-20:]), deviation(c[-60:])
    strength = ratio(
        smoothed([max(s, 0.0) for s in steps], 1 / 14), smoothed([abs(s) for s in steps], 1 / 14)
    )
    place = ratio(float(gap(c[-20:])), 4 * bands)
    return {
        **{f"sma_gap_{n}": float(gap(c[-n:]) / average(c[-n:])) for n in (10, 20, 60)},
        "macd": line[-1] / c[-1],
        "macd_histogram": (line[-1] - smoothed(line, 2 / 10)) / c[-1],
        "rsi_14": None if strength is None else 100 * strength,
        "bollinger_position_20": None if place is None else 0.5 + place,
        "bollinger_width_20": 4 * bands / float(average(c[-20:])),
        "zscore_60": ratio(float(gap(c[-60:])), long),
        **{f"slope_{n}": float(slope(c[-n:]) / Fraction(c[-1])) for n in (20, 60)},
        **{f"r2_{n}": straightness(c[-n:]) for n in (20, 60)},
    }


def channels(h: Numbers, low: Numbers, c: Numbers) -> dict[str, float | None]:
    fast = [stochastic(h[i - 13 : i + 1], low[i - 13 : i + 1], c[i]) for i in (61, 62, 63)]
    typical = [(a + b + d) / 3 for a, b, d in zip(h[-14:], low[-14:], c[-14:], strict=True)]
    middle = average(typical)
    spread = sum((abs(Fraction(t) - middle) for t in typical), Fraction(0)) / 14
    falls = [(c[i] - max(c[i - 31 : i + 1])) / max(c[i - 31 : i + 1]) for i in range(32, 64)]
    top, floor = max(h[-28:]), min(low[-28:])
    williams = ratio(c[-1] - top, top - floor)
    known = [value for value in fast if value is not None]
    return {
        **{f"donchian_{n}": stochastic(h[-n:], low[-n:], c[-1]) for n in (20, 60)},
        "stochastic_k_14": None if fast[-1] is None else 100 * fast[-1],
        "stochastic_d_14_3": 100 * sum(known) / 3 if len(known) == 3 else None,
        "williams_r_28": None if williams is None else 100 * williams,
        "cci_14": ratio(gap(typical), Fraction(0.015) * spread),
        "drawdown_60": (c[-1] - max(c[-60:])) / max(c[-60:]),
        "runup_60": (c[-1] - min(c[-60:])) / min(c[-60:]),
        "worst_drawdown_32": min(falls),
    }


def volume(h: Numbers, low: Numbers, c: Numbers, v: Numbers) -> dict[str, float | None]:
    sides = [signed(c[i] - c[i - 1], v[i]) for i in range(44, 64)]
    typical = [(a + b + d) / 3 for a, b, d in zip(h, low, c, strict=True)]
    money = [signed(typical[i] - typical[i - 1], typical[i] * v[i]) for i in range(50, 64)]
    flow = ratio(math.fsum(max(m, 0.0) for m in money), math.fsum(abs(m) for m in money))
    return {
        "volume_ratio_20": ratio(v[-1], float(average(v[-20:]))),
        "volume_ratio_5_60": ratio(average(v[-5:]), average(v[-60:])),
        "volume_zscore_20": ratio(float(gap(v[-20:])), deviation(v[-20:])),
        "close_volume_correlation_20": correlation(c[-20:], v[-20:]),
        "signed_volume_20": ratio(math.fsum(sides), math.fsum(v[-20:])),
        "money_flow_14": None if flow is None else 100 * flow,
    }
