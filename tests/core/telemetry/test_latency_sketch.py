from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mlengine.core.telemetry.families import BOUNDS_MS
from mlengine.core.telemetry.latency_sketch import (
    BUCKETS,
    bucket_of,
    cumulative_counts,
    middle_ms,
    quantile_ms,
    upper_bound_ms,
)


def test_no_latency_is_further_than_its_error_from_the_one_that_stands_for_it() -> None:
    latencies = np.exp(np.random.default_rng(1).uniform(np.log(0.001), np.log(100_000), 20_000))
    errors = [abs(middle_ms(bucket_of(ms)) / ms - 1) for ms in latencies.tolist()]
    assert max(errors) < 0.022


def test_quantiles_are_within_the_error_of_the_exact_ones() -> None:
    latencies = np.random.default_rng(2).lognormal(1.0, 1.2, 5_000)
    counts = Counter(map(bucket_of, latencies.tolist()))
    for share in (0.5, 0.9, 0.99, 1.0):
        exact = float(np.quantile(latencies, share, method="inverted_cdf"))
        told = quantile_ms(counts, share, longest_ms=float(latencies.max()))
        assert told == pytest.approx(exact, rel=0.022)


def test_no_quantile_is_above_the_longest() -> None:
    assert quantile_ms({bucket_of(80.0): 1}, 0.99, longest_ms=80.0) <= 80.0  # type: ignore[operator]


@pytest.mark.parametrize("milliseconds", [-1.0, 0.0, 1e-9, 0.001, 1e9])
def test_what_is_out_of_range_is_in_the_first_or_the_last_bucket(milliseconds: float) -> None:
    assert bucket_of(milliseconds) in (0, BUCKETS - 1)


def test_the_bounds_of_histograms_are_ends_of_buckets() -> None:
    ends = [upper_bound_ms(bucket) for bucket in range(BUCKETS)]
    assert all(min(abs(end / bound - 1) for end in ends) < 1e-12 for bound in BOUNDS_MS)
    latencies = np.random.default_rng(3).lognormal(1.0, 2.0, 2_000)
    counts = np.bincount([bucket_of(ms) for ms in latencies.tolist()], minlength=BUCKETS)
    below = [float((latencies < bound).sum()) for bound in BOUNDS_MS]
    assert cumulative_counts(counts.tolist(), BOUNDS_MS) == below
