import math

import numpy as np
import pytest
from tests.core.metrics.rows import array, outcomes

from mlengine.core.metrics import (
    Baseline,
    baseline,
    brier,
    constant_loss,
    hit_rate,
    log_loss,
    loss,
    mae,
    mse,
)

OUTCOMES = outcomes([[0.02, -0.01], [0.03, -0.02]])


def test_log_loss_of_a_coin_is_ln_2_and_certainty_stays_finite():
    assert log_loss(array(1, 0), array(0.5, 0.5)) == pytest.approx(math.log(2), abs=1e-15)
    assert log_loss(array(1), array(0.25)) == pytest.approx(-math.log(0.25))
    assert log_loss(array(1), array(0.0)) == pytest.approx(-math.log(1e-15))


def test_brier_mse_mae_and_hit_rate():
    assert brier(array(1, 0), array(0.8, 0.4)) == pytest.approx((0.04 + 0.16) / 2)
    assert mse(array(1, 3), array(2, 1)) == 2.5
    assert mae(array(1, 3), array(2, 1)) == 1.5
    assert hit_rate(array(1, 0, 1, 0), np.array([True, True, True, False])) == 0.75
    assert math.isnan(hit_rate(array(), np.array([], dtype=bool)))


def test_baseline_comes_from_the_returns_and_labels_it_is_given():
    returns = array(0.1, -0.1, 0.0, 0.2)
    assert baseline(returns) == Baseline(0.5, pytest.approx(0.05))
    assert baseline(returns, array(1, 1, 1, 3)) == Baseline(0.5, 1.5)


def test_the_gates_loss_is_log_loss_or_squared_error_of_the_label():
    p = array(0.7, 0.4, 0.6, 0.5)
    assert loss("direction", outcomes=OUTCOMES, scores=p) == log_loss(OUTCOMES.ups, p)
    assert loss("return", outcomes=OUTCOMES, scores=p) == mse(OUTCOMES.forward_returns, p)
    ahead = outcomes([[0.02, -0.01], [0.03, -0.02]], labels=[[1.0, -1.0], [1.0, -1.0]])
    assert loss("return", outcomes=ahead, scores=p) == mse(array(1, -1, 1, -1), p)


def test_the_constant_to_beat_for_returns_is_the_better_of_zero_and_the_training_mean():
    near, far = Baseline(0.5, 0.005), Baseline(0.5, 9.0)
    zero = mse(OUTCOMES.forward_returns, np.zeros(4))
    assert constant_loss("return", outcomes=OUTCOMES, baseline=far) == zero
    assert constant_loss("return", outcomes=OUTCOMES, baseline=near) < zero
    assert constant_loss("direction", outcomes=OUTCOMES, baseline=Baseline(0.5, 0.0)) == (
        pytest.approx(math.log(2))
    )


def test_outcomes_at_rows_are_theirs_in_every_column():
    assert OUTCOMES.at(np.array([3, 0])).forward_returns.tolist() == [-0.02, 0.02]
    assert OUTCOMES.at(np.array([3, 0])).symbols.tolist() == [101, 100]
    assert OUTCOMES.at(np.array([3, 0])).dates.tolist() == [OUTCOMES.dates[3], 0]
