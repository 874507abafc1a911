import lightgbm
import numpy as np
import polars as pl
import pytest

from mlengine.core.boosting.binning import BinnedRows, LabelledRows, SharedBins
from mlengine.core.boosting.model import LightGBMConfig, fit, fit_binned

NAMES = ("a", "b", "c")
RECIPE = LightGBMConfig("direction", 42, 1, rounds=15, early_stopping_rounds=5)
PARAMS = RECIPE.lightgbm_params()


def _sample(rows, *, seed=1, shift=0.0):
    rng = np.random.default_rng(seed)
    features = rng.normal(shift, 1.0, size=(rows, 3))
    features[rng.random(rows) < 0.2, 1] = np.nan
    labels = (features[:, 0] + rng.normal(size=rows) > shift).astype(float)
    return LabelledRows(features, labels)


def _at(sample, rows):
    return LabelledRows(sample.features[rows], sample.labels[rows])


def test_a_part_of_shared_bins_grows_the_trees_of_a_dataset_of_its_own_with_these_edges():
    everything = _sample(1200)
    oldest, train = np.arange(0, 400), np.sort(np.random.default_rng(2).permutation(900)[:700])
    stop = np.arange(900, 1200)
    bins = SharedBins.of(PARAMS, names=NAMES, edges=_at(everything, oldest), rows=everything)
    shared = fit_binned(RECIPE, bins.subset(train, stop))

    edges = lightgbm.Dataset(
        everything.features[oldest],
        everything.labels[oldest],
        feature_name=list(NAMES),
        params=dict(PARAMS),
    ).construct()
    parts = [_at(everything, rows) for rows in (train, stop)]
    built = [edges.create_valid(p.features, p.labels, params=dict(PARAMS)) for p in parts]
    assert shared.fingerprint == fit_binned(RECIPE, BinnedRows(NAMES, *built)).fingerprint
    # Bins of their own rows, or of all, are others.
    own = fit(RECIPE, names=NAMES, train=parts[0], early_stop=parts[1])
    assert own.fingerprint != shared.fingerprint


def test_edges_know_nothing_of_the_rows_that_are_binned_by_them():
    oldest, later = _sample(400), _sample(800, seed=5, shift=50.0)
    both = LabelledRows(
        *(np.concatenate([getattr(s, n) for s in (oldest, later)]) for n in _FIELDS)
    )
    rows, stop = np.arange(0, 300), np.arange(300, 400)
    alone = SharedBins.of(PARAMS, names=NAMES, edges=oldest, rows=oldest)
    among = SharedBins.of(PARAMS, names=NAMES, edges=oldest, rows=both)
    grown = [fit_binned(RECIPE, bins.subset(rows, stop)).fingerprint for bins in (alone, among)]
    assert grown[0] == grown[1]


_FIELDS = ("features", "labels")


def test_a_frame_and_an_array_are_binned_alike():
    sample, stop = _sample(600), _sample(200, seed=3)

    def framed(one):
        frame = pl.DataFrame(one.features, list(NAMES)).fill_nan(None)
        return LabelledRows(frame, one.labels)

    arrays = fit(RECIPE, names=NAMES, train=sample, early_stop=stop)
    frames = fit(RECIPE, names=NAMES, train=framed(sample), early_stop=framed(stop))
    assert frames.fingerprint == arrays.fingerprint


def test_one_set_of_bins_serves_many_fits():
    sample = _sample(900)
    bins = SharedBins.of(PARAMS, names=NAMES, edges=_at(sample, np.arange(300)), rows=sample)
    first = [
        fit_binned(RECIPE, bins.subset(np.arange(n), np.arange(n, n + 100)))
        for n in (300, 600, 300)
    ]
    assert first[0].fingerprint == first[2].fingerprint != first[1].fingerprint


@pytest.mark.parametrize("seed", [1, 2])
def test_ill_scaled_columns_and_labels_give_the_same_trees_on_one_two_and_four_threads(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(6000, 12)) * 10.0 ** rng.integers(-12, 13, 12)
    labels = np.exp(rng.normal(0.0, 6.0, 6000)) * np.sign(rng.normal(size=6000))
    names = tuple(f"f{i}" for i in range(12))
    params = {"num_leaves": 31, "min_data_in_leaf": 20, "bagging_fraction": 0.8, "bagging_freq": 1}
    found = {
        fit(
            LightGBMConfig("return", 42, threads, rounds=8, params=params),
            names=names,
            train=LabelledRows(features, labels),
            early_stop=None,
        ).fingerprint
        for threads in (1, 2, 4)
    }
    assert len(found) == 1
