"""Latencies in buckets of equal ratio: sketches that add up, with a known relative error.

As DDSketch (Masson, Rim and Lee 2019, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees"), with a fixed range: sixteen buckets for each doubling from 1 µs to
134 s. A quantile is told within 2.2 %, and the sum of two sketches is the sketch of both.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log2

BUCKETS_A_DOUBLING = 16
_DOUBLINGS = 27
BUCKETS = BUCKETS_A_DOUBLING * _DOUBLINGS

_LEAST_MS = 0.001
_MICROSECONDS = 1000.0


def bucket_of(milliseconds: float) -> int:
    """The bucket of a latency; what lies outside of the range is in the first or the last.

    >>> bucket_of(0.0), bucket_of(0.002), bucket_of(1e9)
    (0, 16, 431)
    """
    if milliseconds <= _LEAST_MS:
        return 0
    return min(int(log2(milliseconds * _MICROSECONDS) * BUCKETS_A_DOUBLING), BUCKETS - 1)


def upper_bound_ms(bucket: int) -> float:
    """Where a bucket ends, in milliseconds.

    >>> upper_bound_ms(15)
    0.002
    """
    return float(_LEAST_MS * 2.0 ** ((bucket + 1) / BUCKETS_A_DOUBLING))


def middle_ms(bucket: int) -> float:
    """The latency that stands for all of a bucket: no one in it is further than 2.2 % from it."""
    return float(_LEAST_MS * 2.0 ** ((bucket + 0.5) / BUCKETS_A_DOUBLING))


def quantile_ms(counts: Mapping[int, int], share: float, *, longest_ms: float) -> float | None:
    """The latency at rank ⌈share · n⌉ of n, in milliseconds; None where there is none.

    `counts` are by bucket. No answer is above `longest_ms`, the longest of all.

    >>> round(quantile_ms({bucket_of(3.0): 99, bucket_of(80.0): 1}, 0.5, longest_ms=80.0), 1)
    3.0
    >>> quantile_ms({}, 0.5, longest_ms=0.0) is None
    True
    """
    total = sum(counts.values())
    rank = max(1, ceil(share * total))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return min(middle_ms(bucket), longest_ms)
    return None


def cumulative_counts(counts: Sequence[float], bounds_ms: Sequence[float]) -> list[float]:
    """How many of all (one a bucket) are below each bound, which must be the end of a bucket."""
    ends = [round(log2(bound / _LEAST_MS) * BUCKETS_A_DOUBLING) for bound in bounds_ms]
    return [float(sum(counts[:end])) for end in ends]
