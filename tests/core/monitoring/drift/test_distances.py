"""Each distance against its definition, computed in the plainest way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from mlengine.core.monitoring.drift.distances import (
    FeatureDistances,
    distances,
    quantile_edges,
    sort_columns,
    wasserstein,
)

RNG = np.random.default_rng(3)
PAIRS = {
    "more of the first": (RNG.standard_t(3, 700), RNG.normal(0.4, 1.0, 90)),
    "more of the second": (RNG.normal(size=60), RNG.standard_t(3, 500)),
    "ties": (np.round(RNG.normal(size=300), 1), np.round(RNG.normal(0.2, 2.0, 211), 1)),
    "three values": (RNG.integers(0, 3, 100) * 1.0, RNG.integers(1, 4, 40) * 1.0),
    "apart": (RNG.normal(size=20), RNG.normal(100.0, 1.0, 30)),
    "one against one": (np.array([1.0]), np.array([3.0])),
}


def plain_edges(values: np.ndarray) -> np.ndarray:
    distinct = np.unique(values)
    if len(distinct) <= 10:
        return np.unique(np.concatenate([distinct, np.nextafter(distinct, -np.inf)]))
    return np.unique(np.quantile(values, np.arange(1, 10) / 10))


def of(first: np.ndarray, second: np.ndarray) -> FeatureDistances:
    return distances(sort_columns(first[:, None])[0], sort_columns(second[:, None])[0])


@pytest.mark.parametrize("name", PAIRS)
def test_ks_and_wasserstein_are_those_of_scipy(name: str) -> None:
    first, second = PAIRS[name]
    found = of(first, second)
    assert found.ks == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-14)
    moved = wasserstein(sort_columns(first[:, None])[0], sort_columns(second[:, None])[0])
    assert moved == pytest.approx(stats.wasserstein_distance(first, second), rel=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_psi_and_jensen_shannon_are_over_the_bins_of_the_reference(name: str) -> None:
    first, second = PAIRS[name]
    edges = plain_edges(first)
    assert quantile_edges(np.sort(first)) == pytest.approx(edges, rel=1e-14)
    found = of(first, second)
    counts = [
        np.bincount(np.searchsorted(edges, side), minlength=len(edges) + 1) / len(side)
        for side in (first, second)
    ]
    kept = [np.maximum(shares, 1e-4) for shares in counts]
    assert found.psi == pytest.approx(np.sum((kept[1] - kept[0]) * np.log(kept[1] / kept[0])))
    assert found.jensen_shannon == pytest.approx(distance.jensenshannon(*counts), abs=1e-12)


def test_wasserstein_is_in_deviations_of_the_reference() -> None:
    reference = RNG.normal(5.0, 3.0, 1000)
    assert of(reference, reference + 3.0).wasserstein == pytest.approx(3.0 / reference.std())


def test_undefined_rows_count_as_nulls_and_nowhere_else() -> None:
    full = RNG.normal(size=100)
    holes = np.concatenate([full, [math.nan] * 15, [math.inf, -math.inf] * 5])
    found = of(full, holes)
    assert found.null_share == pytest.approx(0.2)
    assert found.ks == 0.0
    assert found.wasserstein == pytest.approx(0.0, abs=1e-15)
    assert found.psi > 1.0


def test_out_of_range_is_beyond_what_the_reference_had() -> None:
    assert of(np.arange(10.0), np.array([-1.0, 0.0, 9.0, 9.5])).out_of_range_share == 0.5


@pytest.mark.parametrize("side", [0, 1, 2])
@pytest.mark.parametrize("empty", [[], [math.nan], [math.inf, -math.inf]])
def test_a_side_without_values_has_no_distances(side: int, empty: list[float]) -> None:
    pair = [np.array(empty) if side in (at, 2) else RNG.normal(size=9) for at in (0, 1)]
    found = of(*pair)
    assert math.isnan(found.ks)
    assert math.isnan(found.wasserstein)
    assert math.isnan(found.out_of_range_share)


def test_a_constant_reference_has_finite_distances() -> None:
    found = of(np.full(50, 2.0), np.full(60, 2.5))
    assert (found.ks, found.out_of_range_share) == (1.0, 1.0)
    assert math.isfinite(found.wasserstein)
    assert of(np.zeros(5), np.zeros(5)).wasserstein == 0.0


def test_columns_are_sorted_each_by_itself() -> None:
    first, second = sort_columns(np.array([[3.0, math.nan], [1.0, 5.0], [2.0, -math.inf]]))
    assert first.values.tolist() == [1.0, 2.0, 3.0]
    assert (second.values.tolist(), second.rows) == ([5.0], 3)
    assert second.null_share == pytest.approx(2 / 3)


def test_what_is_sorted_is_finite_whatever_the_bits() -> None:
    column = [3.0, -0.0, 0.0, math.nan, -math.nan, math.inf, -math.inf, -2.0, 1e-310, -1e-310]
    (found,) = sort_columns(np.array(column)[:, None])
    assert found.values.tolist() == [-2.0, -1e-310, 0.0, 0.0, 1e-310, 3.0]
    assert found.rows == len(column)
    (single,) = sort_columns(np.array([[2.0], [-1.0]], dtype=np.float32))  # type: ignore[arg-type]
    assert single.values.tolist() == [-1.0, 2.0]
