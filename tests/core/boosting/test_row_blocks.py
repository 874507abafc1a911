from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from mlengine.core.boosting.binning import LabelledRows, SharedBins, SharedEdges
from mlengine.core.boosting.model import LightGBMConfig, fit, fit_binned

ROWS = 3_000
NAMES = ("plain", "holes", "mostly_zero", "seldom", "constant", "coarse", "never")


@dataclass
class Block:
    rows: np.ndarray
    read_by_now: list

    def __len__(self):
        return len(self.rows)

    def read(self):
        self.read_by_now.append(self)
        return self.rows


def _rows(seed=1):
    """Columns that LightGBM bins in ways of their own: bundled, without bins, with bins of zero."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(ROWS, len(NAMES)))
    features[rng.random(ROWS) < 0.3, 1] = np.nan
    features[rng.random(ROWS) < 0.9, 2] = 0.0
    features[rng.random(ROWS) < 0.98, 3] = 0.0
    features[:, 4] = 3.0
    features[:, 5] = np.round(features[:, 5])
    features[:, 6] = np.nan
    noise = rng.normal(size=ROWS)
    labels = (features[:, 0] + features[:, 2] + features[:, 5] + noise > 0.0).astype(float)
    return features, labels


def _in_memory(features, labels):
    frame = pl.DataFrame(features, list(NAMES)).fill_nan(None)
    return LabelledRows(frame, labels)


def _in_blocks(features, labels, *, rows=701, read_by_now=None):
    read = [] if read_by_now is None else read_by_now
    parts = range(0, len(labels), rows)
    blocks = [Block(np.ascontiguousarray(features[at : at + rows]), read) for at in parts]
    return LabelledRows(tuple(blocks), labels)


@pytest.mark.parametrize("sampled", [200_000, 400])
@pytest.mark.parametrize("seed", [42, 7])
def test_blocks_give_the_trees_of_rows_in_memory(sampled, seed):
    """Also where bins come from a sample, which the seed chooses."""
    features, labels = _rows()
    params = {"bin_construct_sample_cnt": sampled, "min_data_in_leaf": 20, "max_bin": 63}
    recipe = LightGBMConfig("direction", seed, 1, rounds=12, params=params)
    cut = 2_000
    memory, blocks = (
        fit(
            recipe,
            names=NAMES,
            train=held(features[:cut], labels[:cut]),
            early_stop=held(features[cut:], labels[cut:]),
        )
        for held in (_in_memory, _in_blocks)
    )
    assert blocks.text == memory.text
    assert blocks.importances == memory.importances


def test_a_sample_by_another_seed_gives_other_bins():
    features, labels = _rows()
    found = {
        fit(
            LightGBMConfig("direction", 1, 1, 12, params={"bin_construct_sample_cnt": count}),
            names=NAMES,
            train=_in_blocks(features, labels),
            early_stop=None,
        ).fingerprint
        for count in (400, 500)
    }
    assert len(found) == 2


def test_rows_are_read_block_by_block_twice_where_bins_are_their_own_and_once_by_others():
    features, labels = _rows()
    own, others = [], []
    recipe = LightGBMConfig("direction", 42, 1, rounds=3)
    fit(
        recipe,
        names=NAMES,
        train=_in_blocks(features, labels, read_by_now=own),
        early_stop=_in_blocks(features, labels, read_by_now=others),
    )
    blocks = -(-ROWS // 701)
    assert own == own[:blocks] * 2
    assert (len(own), len(others)) == (2 * blocks, blocks)


def test_folds_by_shared_edges_grow_the_trees_of_shared_bins():
    features, labels = _rows()
    params = {"bin_construct_sample_cnt": 300, "min_data_in_leaf": 20}
    recipe = LightGBMConfig("direction", 42, 1, rounds=8, params=params)
    oldest = np.arange(900)
    folds = [
        (np.arange(800), np.arange(820, 1_000)),
        (np.arange(0, 2_000, 2), np.arange(2_100, ROWS)),
    ]

    def take(held):
        return lambda rows: held(features[rows], labels[rows])

    memory = take(_in_memory)
    shared = SharedBins.of(
        recipe.lightgbm_params(), names=NAMES, edges=memory(oldest), rows=memory(np.arange(ROWS))
    )
    edges = SharedEdges.of(
        recipe.lightgbm_params(), names=NAMES, edges=oldest, take=take(_in_blocks)
    )
    for rows, stop in folds:
        in_memory, anew = (fit_binned(recipe, each.subset(rows, stop)) for each in (shared, edges))
        assert anew.text == in_memory.text
