import math

import numpy as np
import pytest
from tests.core.metrics.rows import array, numbered

from mlengine.core.metrics.ranking import auc, ranks, weighted_auc, weighted_auc_by_symbol


def _pairs(ups, scores, weights):
    """Of all weighted pairs of an up and a down row, those in order, counted one by one."""
    won = total = 0.0
    for i in np.flatnonzero(ups > 0):
        for j in np.flatnonzero(ups <= 0):
            pair = weights[i] * weights[j]
            total += pair
            won += pair * (1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0)
    return won / total


def test_auc_counts_pairs_and_halves_ties():
    ups = array(1, 0, 1, 0)
    # Of the four pairs (up, down) 0.9>0.5, 0.9>0.1, 0.5=0.5, 0.5>0.1.
    assert auc(ups, array(0.9, 0.5, 0.5, 0.1)) == 3.5 / 4
    assert auc(ups, array(0.1, 0.5, 0.5, 0.9)) == 0.5 / 4
    assert auc(ups, array(1, 1, 1, 1)) == 0.5


def test_auc_equals_the_share_of_ordered_pairs_on_random_scores():
    rng = np.random.default_rng(3)
    ups = (rng.random(200) < 0.4).astype(float)
    scores = rng.integers(0, 20, 200).astype(float)
    pairs = np.subtract.outer(scores[ups == 1], scores[ups == 0])
    assert auc(ups, scores) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_auc_of_one_class_is_not_defined(label):
    assert math.isnan(auc(np.full(3, label), array(0.1, 0.2, 0.3)))


def test_ranks_share_ties():
    assert ranks(array(10, 30, 10, 20)).tolist() == [1.5, 4.0, 1.5, 3.0]


def test_auc_under_weights_counts_each_pair_as_often_as_its_dates_are_drawn():
    rng = np.random.default_rng(4)
    forward, scores = rng.normal(size=(30, 3)), rng.integers(0, 9, (30, 3)).astype(float)
    scored = numbered("direction", forward, scores)
    weights = rng.integers(0, 4, (5, 30)).astype(float)
    expected = [_pairs(scored.target_up, scored.scores, w[scored.date_index]) for w in weights]
    assert weighted_auc(scored, weights) == pytest.approx(expected, abs=1e-12)


def test_auc_under_equal_weights_is_the_auc_to_the_last_digit():
    rng = np.random.default_rng(5)
    scored = numbered("direction", rng.normal(size=(50, 4)), rng.integers(0, 99, (50, 4)))
    assert weighted_auc(scored, scored.unit_weights).tolist() == [
        auc(scored.target_up, scored.scores)
    ]


def test_a_draw_that_has_only_ups_has_no_auc():
    scored = numbered("direction", [[1.0], [-1.0]], [[0.6], [0.4]])
    assert math.isnan(weighted_auc(scored, array(2, 0)[None, :])[0])


def test_auc_by_symbol_is_blind_to_levels_that_only_tell_symbols_apart():
    rng = np.random.default_rng(6)
    drift = array(5.0, -5.0)
    forward = rng.normal(size=(40, 2)) + drift / 5.0
    scores = rng.normal(size=(40, 2)) + drift
    scored = numbered("return", forward, scores)
    each = [
        auc(scored.target_up[scored.symbol_index == s], scored.scores[scored.symbol_index == s])
        for s in (0, 1)
    ]
    assert weighted_auc_by_symbol(scored, scored.unit_weights)[0] == pytest.approx(np.mean(each))
    assert weighted_auc(scored, scored.unit_weights)[0] > 0.7
    assert weighted_auc_by_symbol(scored, scored.unit_weights)[0] < 0.65


def test_a_symbol_of_nine_rows_has_no_say():
    rng = np.random.default_rng(7)
    forward, scores = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    forward[9:, 1] = math.nan
    scored = numbered("return", forward, scores)
    mine = scored.symbol_index == 0
    expected = auc(scored.target_up[mine], scored.scores[mine])
    assert weighted_auc_by_symbol(scored, scored.unit_weights).tolist() == [expected]
    short = numbered("return", forward[:9], scores[:9])
    assert math.isnan(weighted_auc_by_symbol(short, short.unit_weights)[0])
