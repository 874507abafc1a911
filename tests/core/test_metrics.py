import math

import numpy as np
import pytest

from mlengine.core.metrics import (
    Baseline,
    Outcomes,
    auc,
    baseline,
    brier,
    constant_loss,
    correlation,
    evaluate,
    hit_rate,
    log_loss,
    loss,
    mae,
    mse,
    ranks,
)


def _array(*values):
    return np.array(values, dtype=np.float64)


OUTCOMES = Outcomes(
    forward_returns=_array(0.02, -0.01, 0.03, -0.02),
    last_returns=_array(0.01, 0.01, -0.01, -0.01),
)
BASELINE = Baseline(up_rate=0.6, mean_return=0.01)


def test_auc_counts_pairs_and_halves_ties():
    ups = _array(1, 0, 1, 0)
    # Of the four pairs (up, down) 0.9>0.5, 0.9>0.1, 0.5=0.5, 0.5>0.1.
    assert auc(ups, _array(0.9, 0.5, 0.5, 0.1)) == 3.5 / 4
    assert auc(ups, _array(0.1, 0.5, 0.5, 0.9)) == 0.5 / 4
    assert auc(ups, _array(1, 1, 1, 1)) == 0.5


def test_auc_equals_the_share_of_ordered_pairs_on_random_scores():
    rng = np.random.default_rng(3)
    ups = (rng.random(200) < 0.4).astype(float)
    scores = rng.integers(0, 20, 200).astype(float)
    pairs = np.subtract.outer(scores[ups == 1], scores[ups == 0])
    assert auc(ups, scores) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_auc_of_one_class_is_not_defined(label):
    assert math.isnan(auc(np.full(3, label), _array(0.1, 0.2, 0.3)))


def test_log_loss_of_a_coin_is_ln_2_and_certainty_stays_finite():
    assert log_loss(_array(1, 0), _array(0.5, 0.5)) == pytest.approx(math.log(2), abs=1e-15)
    assert log_loss(_array(1), _array(0.25)) == pytest.approx(-math.log(0.25))
    assert log_loss(_array(1), _array(0.0)) == pytest.approx(-math.log(1e-15))


def test_brier_mse_mae_and_hit_rate():
    assert brier(_array(1, 0), _array(0.8, 0.4)) == pytest.approx((0.04 + 0.16) / 2)
    assert mse(_array(1, 3), _array(2, 1)) == 2.5
    assert mae(_array(1, 3), _array(2, 1)) == 1.5
    assert hit_rate(_array(1, 0, 1, 0), np.array([True, True, True, False])) == 0.75


def test_correlation_of_a_constant_is_not_defined():
    assert correlation(_array(1, 2, 3), _array(2, 4, 6)) == pytest.approx(1.0)
    assert correlation(_array(1, 2, 3), _array(3, 2, 1)) == pytest.approx(-1.0)
    assert math.isnan(correlation(_array(1, 2, 3), _array(5, 5, 5)))


def test_ranks_share_ties():
    assert ranks(_array(10, 30, 10, 20)).tolist() == [1.5, 4.0, 1.5, 3.0]


def test_baseline_comes_from_the_returns_it_is_given():
    assert baseline(_array(0.1, -0.1, 0.0, 0.2)) == Baseline(0.5, pytest.approx(0.05))


def test_every_direction_metric_stands_beside_its_baseline():
    measured = evaluate(
        "direction", outcomes=OUTCOMES, scores=_array(0.7, 0.4, 0.6, 0.5), baseline=BASELINE
    )
    assert {name: (m.baseline_kind, m.baseline) for name, m in measured.items()} == {
        "auc": ("coin_flip", 0.5),
        "log_loss": ("training_rate", pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)),
        "brier": ("training_rate", pytest.approx((0.16 + 0.36) / 2)),
        "accuracy": ("majority_class", 0.5),
    }
    assert measured["auc"].value == 1.0
    assert measured["auc"].other_baselines == {"last_return_sign": 0.5}
    # A probability of exactly one half says up, as the answer of /predict does.
    assert measured["accuracy"].value == 0.75
    assert measured["accuracy"].other_baselines == {"last_return_sign": 0.5}


def test_majority_class_is_the_training_parts_not_the_holdouts():
    falling = Outcomes(_array(-1, -1, -1, 1), _array(1, -1, -1, 1))
    measured = evaluate(
        "direction", outcomes=falling, scores=np.full(4, 0.2), baseline=Baseline(0.9, 0.0)
    )
    assert measured["accuracy"].baseline == 0.25
    assert measured["accuracy"].other_baselines == {"last_return_sign": 0.75}


def test_every_return_metric_stands_beside_its_baseline():
    measured = evaluate(
        "return", outcomes=OUTCOMES, scores=_array(0.01, 0.0, 0.02, -0.01), baseline=BASELINE
    )
    assert list(measured) == ["mse", "mae", "ic", "rank_ic", "hit_rate"]
    assert measured["mse"].value == pytest.approx(1e-4)
    assert measured["mse"].baseline == pytest.approx((4 + 1 + 9 + 4) * 1e-4 / 4)
    assert measured["mse"].other_baselines == {
        "training_mean": pytest.approx((1 + 4 + 4 + 9) * 1e-4 / 4)
    }
    assert measured["mae"].baseline == pytest.approx(0.02)
    assert measured["rank_ic"].value == pytest.approx(1.0)
    assert measured["ic"].baseline == 0.0
    assert measured["hit_rate"].value == 1.0
    assert measured["hit_rate"].other_baselines == {"last_return_sign": 0.5}


def test_what_is_not_defined_is_null():
    rising = Outcomes(_array(1, 2), _array(1, 1))
    measured = evaluate("direction", outcomes=rising, scores=_array(0.5, 0.6), baseline=BASELINE)
    assert measured["auc"].value is None
    assert measured["auc"].other_baselines == {"last_return_sign": None}
    flat = evaluate("return", outcomes=rising, scores=_array(0.0, 0.0), baseline=BASELINE)
    assert flat["ic"].value is None


def test_the_gates_loss_is_log_loss_or_squared_error():
    p = _array(0.7, 0.4, 0.6, 0.5)
    assert loss("direction", outcomes=OUTCOMES, scores=p) == log_loss(OUTCOMES.ups, p)
    assert loss("return", outcomes=OUTCOMES, scores=p) == mse(OUTCOMES.forward_returns, p)


def test_the_constant_to_beat_for_returns_is_the_better_of_zero_and_the_training_mean():
    near, far = Baseline(0.5, 0.005), Baseline(0.5, 9.0)
    zero = mse(OUTCOMES.forward_returns, np.zeros(4))
    assert constant_loss("return", outcomes=OUTCOMES, baseline=far) == zero
    assert constant_loss("return", outcomes=OUTCOMES, baseline=near) < zero
    assert constant_loss("direction", outcomes=OUTCOMES, baseline=Baseline(0.5, 0.0)) == (
        pytest.approx(math.log(2))
    )
