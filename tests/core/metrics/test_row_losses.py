import math

import numpy as np
import pytest

from mlengine.core import metrics
from mlengine.core.metrics.losses import best_constant_loss, row_losses


def test_a_row_of_direction_loses_the_log_of_what_it_gave_the_outcome():
    found = row_losses("direction", labels=np.array([1.0, 0.0]), scores=np.array([0.8, 0.4]))
    assert found == pytest.approx([-math.log(0.8), -math.log(0.6)])


def test_a_row_of_return_loses_its_squared_error():
    found = row_losses("return", labels=np.array([0.1, 0.0]), scores=np.array([0.3, 0.4]))
    assert found == pytest.approx([0.04, 0.16])


def test_certainty_that_was_wrong_is_dear_but_finite():
    found = row_losses("direction", labels=np.array([1.0, 0.0]), scores=np.array([0.0, 1.0]))
    assert found == pytest.approx([-math.log(1e-15)] * 2, rel=1e-2)


def test_the_mean_over_rows_is_the_metric_to_the_last_bit():
    rng = np.random.default_rng(3)
    ups, scores = (rng.random(999) < 0.5).astype(float), rng.random(999)
    every = row_losses("direction", labels=ups, scores=scores)
    assert float(np.mean(every)) == metrics.log_loss(ups, scores)
    assert float(np.mean(row_losses("return", labels=ups, scores=scores))) == metrics.mse(
        ups, scores
    )


def test_the_constant_is_what_the_training_part_would_have_said():
    labels = np.array([1.0, 0.0])
    found = best_constant_loss("direction", labels=labels, trained=np.array([1.0, 1.0, 1.0, 0.0]))
    assert found == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)


def test_for_returns_zero_is_a_constant_too():
    labels = np.array([0.1, -0.1])
    assert best_constant_loss("return", labels=labels, trained=np.array([1.0])) == pytest.approx(
        0.01
    )
    assert best_constant_loss(
        "return", labels=labels + 1.0, trained=np.array([1.0])
    ) == pytest.approx(0.01)
