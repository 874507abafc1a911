import math

import numpy as np
import polars as pl
import pytest

from mlengine.core.monitoring.drift.report import (
    FeatureDrift,
    compare_distributions,
    ks,
    psi,
    quantile_edges,
)


def _normal(rows, *, mean=0.0, seed=1):
    return np.random.default_rng(seed).normal(mean, 1.0, rows)


def test_edges_cut_the_reference_into_equal_masses():
    values = np.arange(1000.0)
    edges = quantile_edges(values, bins=4)
    assert len(edges) == 3
    assert np.bincount(np.searchsorted(edges, values)).tolist() == [250, 250, 250, 250]


def test_few_distinct_values_have_a_bin_each_and_so_have_the_gaps():
    edges = quantile_edges(np.array([1.0, 2.0, 2.0, math.nan, math.inf]))
    assert np.searchsorted(edges, [0.0, 1.0, 1.5, 2.0, 3.0]).tolist() == [0, 1, 2, 3, 4]


def test_ties_give_fewer_bins_not_empty_ones():
    values = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    edges = quantile_edges(values)
    assert len(edges) == len(set(edges.tolist()))


def test_psi_of_two_bins_by_hand():
    reference, current = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 20 + [1.0] * 80)
    expected = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert psi(reference, current, quantile_edges(reference)) == pytest.approx(expected, abs=1e-12)


def test_psi_of_equal_samples_is_zero_and_a_shift_raises_it():
    reference = _normal(5000)
    edges = quantile_edges(reference)
    assert psi(reference, reference, edges) == 0.0
    assert psi(reference, _normal(5000, seed=2), edges) < 0.02
    assert psi(reference, _normal(5000, mean=1.0, seed=2), edges) > 0.25


def test_a_constant_that_moves_either_way_drifts():
    reference = np.full(100, 3.0)
    for moved in (2.0, 4.0):
        assert psi(reference, np.full(100, moved), quantile_edges(reference)) > 1.0


def test_values_that_become_undefined_drift():
    reference = _normal(1000)
    holes = np.where(np.arange(1000) % 2, reference, math.nan)
    assert psi(reference, holes, quantile_edges(reference)) > 0.25
    nothing = np.full(1000, math.nan)
    assert psi(reference, nothing, quantile_edges(reference)) > 1.0
    assert math.isnan(ks(reference, nothing))


def test_an_empty_side_has_no_psi():
    empty = np.array([])
    assert math.isnan(psi(empty, _normal(5), empty))
    assert math.isnan(psi(_normal(5), empty, empty))


def test_ks_is_the_largest_gap_between_the_distribution_functions():
    assert ks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0])) == 0.5
    assert ks(np.array([1.0, 2.0]), np.array([1.0, 2.0, 1.0, 2.0])) == 0.0
    assert ks(np.array([1.0, 2.0]), np.array([5.0])) == 1.0


def _frame(rows, *, mean=0.0, seed=1):
    return pl.DataFrame(
        {
            "symbol": ["AAA"] * rows,
            "steady": _normal(rows, seed=seed),
            "moved": _normal(rows, mean=mean, seed=seed + 1),
            "prediction": np.full(rows, 0.5),
        }
    )


def test_every_feature_and_the_prediction_are_compared():
    report = compare_distributions(_frame(2000), _frame(500, mean=2.0, seed=5))
    assert (report.status, report.n_reference, report.n_current) == ("uncalibrated", 2000, 500)
    steady, moved = report.features
    assert (steady.feature, moved.feature) == ("steady", "moved")
    assert max(steady.psi, steady.ks) < 0.1
    assert min(moved.psi, moved.ks) > 0.5
    assert (moved.threshold, moved.drifted) == (None, None)
    assert report.prediction_drift == FeatureDrift("prediction", 0.0, 0.0)


@pytest.mark.parametrize("sizes", [(2000, 49), (49, 2000), (2000, 0)])
def test_too_few_rows_are_insufficient_data_and_never_zero(sizes):
    report = compare_distributions(_frame(sizes[0]), _frame(sizes[1]))
    assert report.status == "insufficient_data"
    assert [(f.psi, f.ks) for f in report.features] == [(None, None)] * 2
    assert report.prediction_drift == FeatureDrift("prediction", None, None)


def test_a_feature_that_nobody_sent_has_no_figures():
    report = compare_distributions(_frame(100), _frame(100).drop("moved", "prediction"))
    assert report.features[1] == FeatureDrift("moved", None, None)
    assert report.prediction_drift == FeatureDrift("prediction", None, None)


def test_nulls_count_as_undefined():
    holes = _frame(100).with_columns(pl.lit(None, dtype=pl.Float64).alias("moved"))
    moved = compare_distributions(_frame(100), holes).features[1]
    assert moved.psi > 1.0
    assert moved.ks is None
