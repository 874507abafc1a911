import math

import numpy as np
import pytest
from tests.core.metrics.rows import array

from mlengine.core.metrics import (
    Baseline,
    baseline,
    brier,
    hit_rate,
    log_loss,
    mae,
    mse,
)


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
