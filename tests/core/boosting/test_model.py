import hashlib
import threading

import numpy as np
import pytest

from mlengine.core.boosting.model import LabelledRows, LightGBMConfig, Scorer, fingerprint, fit
from mlengine.errors import TrainingFailed

NAMES = ("momentum", "gaps", "huge", "noise", "constant")


def _sample(rows=1500, *, seed=3, objective="direction"):
    """The label follows the first feature; the second is often undefined."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 5)) * [1.0, 1.0, 1e6, 1.0, 0.0]
    features[rng.random(rows) < 0.3, 1] = np.nan
    returns = 0.5 * features[:, 0] + rng.normal(size=rows)
    labels = (returns > 0).astype(float) if objective == "direction" else returns
    return LabelledRows(features, labels)


def _fit(*, threads=1, rounds=30, objective="direction", early_stop=True, **how):
    recipe = LightGBMConfig(
        objective, seed=42, num_threads=threads, rounds=rounds, early_stopping_rounds=5
    )
    return fit(
        recipe,
        names=NAMES,
        train=_sample(objective=objective),
        early_stop=_sample(400, seed=4, objective=objective) if early_stop else None,
        **how,
    )


def _momentum(*values):
    return np.array([[value, np.nan, 0.0, 0.0, 0.0] for value in values])


def test_a_model_learns_what_is_there():
    fitted = _fit()
    assert fitted.best_iteration > 5
    assert max(fitted.importances, key=fitted.importances.get) == "momentum"
    scorer = Scorer.from_text(fitted.text)
    low, high = scorer.score(_momentum(-2.0, 2.0))
    assert 0.0 < low < 0.5 < high < 1.0


def test_the_return_objective_gives_returns():
    scorer = Scorer.from_text(_fit(objective="return").text)
    low, high = scorer.score(_momentum(-2.0, 2.0))
    assert low < -0.3
    assert high > 0.3


@pytest.mark.parametrize("objective", ["direction", "return"])
def test_one_and_two_threads_give_the_same_fingerprint(objective):
    one, two = (_fit(threads=threads, objective=objective) for threads in (1, 2))
    assert one.fingerprint == two.fingerprint
    assert one.importances == two.importances
    assert one.text != two.text  # the parameters name the thread count


def test_another_seed_gives_another_fingerprint():
    sample = _sample()
    first, second = (
        fit(
            LightGBMConfig("direction", seed, 1, rounds=5),
            names=NAMES,
            train=sample,
            early_stop=None,
        )
        for seed in (1, 2)
    )
    assert first.fingerprint != second.fingerprint


def test_the_fingerprint_covers_the_text_up_to_its_parameters():
    assert fingerprint("trees\nparameters:\n[x: 1]") == hashlib.sha256(b"trees").hexdigest()
    assert fingerprint("trees\nparameters:\n[x: 2]") == fingerprint("trees\nparameters:\n")


def test_the_text_ends_at_the_best_iteration():
    fitted = _fit(rounds=200)
    assert fitted.best_iteration < 200
    assert Scorer.from_text(fitted.text).booster.num_trees() == fitted.best_iteration


def test_stopping_uses_only_the_stopping_rows():
    noise = np.random.default_rng(9)
    stop = LabelledRows(noise.normal(size=(300, 5)), noise.integers(0, 2, 300).astype(float))
    recipe = LightGBMConfig(
        "direction", seed=42, num_threads=1, rounds=200, early_stopping_rounds=5
    )
    fitted = fit(recipe, names=NAMES, train=_sample(), early_stop=stop)
    assert fitted.best_iteration <= 3


def test_without_stopping_rows_all_rounds_are_used():
    assert _fit(rounds=12, early_stop=False).best_iteration == 12


def test_iterations_are_reported_from_one():
    seen = []
    _fit(rounds=3, on_iteration=seen.append)
    assert seen == [1, 2, 3]


def test_what_the_report_raises_ends_the_fit():
    def refuse(iteration):
        if iteration == 2:
            raise KeyError(iteration)

    with pytest.raises(KeyError):
        _fit(on_iteration=refuse)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_class_give_a_constant_near_it(label):
    sample = _sample()
    one_class = LabelledRows(sample.features, np.full(len(sample.labels), label))
    recipe = LightGBMConfig("direction", seed=1, num_threads=1, rounds=5)
    fitted = fit(recipe, names=NAMES, train=one_class, early_stop=None)
    scores = Scorer.from_text(fitted.text).score(sample.features)
    assert np.abs(scores - label).max() < 1e-6


def test_parameters_that_lightgbm_refuses_fail_the_training():
    recipe = LightGBMConfig("direction", seed=1, num_threads=1, rounds=5, params={"num_leaves": 1})
    with pytest.raises(TrainingFailed, match="LightGBM refused"):
        fit(recipe, names=NAMES, train=_sample(), early_stop=None)


def test_one_row_scores_as_it_does_among_others_bit_for_bit():
    scorer, features = Scorer.from_text(_fit().text), _sample().features
    together = scorer.score(features)
    alone = np.concatenate([scorer.score(features[i : i + 1]) for i in range(50)])
    assert together[:50].tobytes() == alone.tobytes()
    assert scorer.score(np.asfortranarray(features)).tobytes() == together.tobytes()


def test_scores_are_the_same_from_many_threads_at_once():
    scorer, features = Scorer.from_text(_fit().text), _sample().features
    expected, found = scorer.score(features).tobytes(), []
    threads = [
        threading.Thread(target=lambda: found.append(scorer.score(features).tobytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_contributions_add_up_to_the_raw_score():
    scorer, features = Scorer.from_text(_fit().text), _sample().features[:20]
    parts = scorer.contributions(features)
    assert parts.shape == (20, 6)
    raw = np.log(scorer.score(features) / (1 - scorer.score(features)))
    assert parts.sum(axis=1) == pytest.approx(raw, abs=1e-9)
    assert parts.sum(axis=1) == pytest.approx(scorer.raw_score(features), abs=1e-12)


def test_no_rows_give_no_scores():
    scorer = Scorer.from_text(_fit().text)
    assert scorer.score(np.empty((0, 5))).shape == (0,)
    assert scorer.contributions(np.empty((0, 5))).shape == (0, 6)


@pytest.mark.parametrize("shape", [(1, 4), (1, 6), (5,)])
def test_another_number_of_features_is_refused(shape):
    with pytest.raises(ValueError, match="5 features"):
        Scorer.from_text(_fit().text).score(np.zeros(shape))


@pytest.mark.parametrize("text", ["", "not a model", "tree\nversion=v4\n"])
def test_something_else_than_a_model_is_refused(text):
    with pytest.raises(ValueError, match="not a LightGBM model"):
        Scorer.from_text(text)


def test_the_loaded_model_knows_its_features():
    assert Scorer.from_text(_fit().text).feature_names == NAMES
