import dataclasses

import numpy as np
import pytest

from mlengine.core.boosting.binning import LabelledRows
from mlengine.core.boosting.early_stopping import best_round, cut_at_best_round
from mlengine.core.boosting.model import LightGBMConfig, fit
from mlengine.core.boosting.text_shape import require_model_text
from mlengine.errors import TrainingFailed

NAMES = ("a", "b", "c")


def _rows(seed, objective, rows=900):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(NAMES)))
    labels = 0.3 * features[:, 0] + rng.normal(size=rows)
    features[rng.random(features.shape) < 0.05] = np.nan
    return features, (labels > 0.0).astype(np.float64) if objective == "direction" else labels


def _config(objective, rounds=60):
    params = {"learning_rate": 0.3, "num_leaves": 7, "min_data_in_leaf": 20}
    return LightGBMConfig(objective, 42, 1, rounds=rounds, early_stopping_rounds=4, params=params)


def _all_rounds(config, rows):
    return fit(config, names=NAMES, train=LabelledRows(*rows), early_stop=None)


@pytest.mark.parametrize("objective", ["direction", "return"])
@pytest.mark.parametrize("seed", range(3))
def test_the_trees_are_those_of_a_fit_that_looked_at_each_round(objective, seed):
    config = _config(objective)
    train, stop = _rows(seed, objective), _rows(seed + 100, objective, 500)
    looked = fit(config, names=NAMES, train=LabelledRows(*train), early_stop=LabelledRows(*stop))
    blocks = [(stop[0][at : at + 170], stop[1][at : at + 170]) for at in range(0, 500, 170)]
    cut = cut_at_best_round(
        _all_rounds(config, train).text, config, names=NAMES, early_stop=iter(blocks)
    )
    assert 1 <= cut.best_iteration < 40
    assert dataclasses.replace(cut, text=looked.text) == looked


def test_a_model_of_many_rounds_is_judged_in_small_parts(monkeypatch):
    config, train = _config("return"), _rows(1, "return")
    text = _all_rounds(config, train).text
    stop = _rows(2, "return", 300)
    whole = cut_at_best_round(text, config, names=NAMES, early_stop=[stop])
    monkeypatch.setattr("mlengine.core.boosting.early_stopping._MOST_CELLS", 7 * config.rounds)
    assert cut_at_best_round(text, config, names=NAMES, early_stop=[stop]) == whole


def test_without_stopping_rows_all_rounds_are_kept_and_no_machine_is_named():
    config = _config("return", rounds=5)
    fitted = _all_rounds(config, _rows(1, "return"))
    named = fitted.text.replace("[machines: ]", "[machines: 10.0.0.7:12400,10.0.0.8:12400]")
    cut = cut_at_best_round(named, config, names=NAMES, early_stop=None)
    assert (cut.best_iteration, cut.fingerprint) == (5, fitted.fingerprint)
    assert "10.0.0.7" in named
    for name in ("10.0.0.7", "machines", "local_listen_port"):
        assert name not in cut.text
    require_model_text(cut.text, NAMES)


@pytest.mark.parametrize("change", [("a b c", "a b d"), ("num_class=1\n", "")])
def test_an_answer_that_is_no_model_of_these_features_fails_the_training(change):
    config = _config("return", rounds=2)
    text = _all_rounds(config, _rows(1, "return")).text.replace(*change, 1)
    with pytest.raises(TrainingFailed, match="cluster's"):
        cut_at_best_round(text, config, names=NAMES, early_stop=None)


def test_the_first_of_equal_rounds_is_best_and_patience_ends_the_search():
    assert best_round([2.0, 1.0, 1.0, 1.0, 0.5], patience=2) == 2
    assert best_round([2.0, 1.0, 1.0, 1.0, 0.5], patience=3) == 5
    assert best_round([1.0], patience=3) == 1
