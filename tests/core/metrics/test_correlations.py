import math

import numpy as np
import pytest
from tests.core.metrics.rows import array, numbered

from mlengine.core.metrics.correlations import (
    correlation_by_date,
    weighted_correlation_within_symbols,
    weighted_information_ratio,
    weighted_mean,
)
from mlengine.core.metrics.ranking import ranks


def _random(dates, symbols, seed=1):
    rng = np.random.default_rng(seed)
    forward = rng.normal(size=(dates, symbols))
    return forward, 0.3 * forward + rng.normal(size=(dates, symbols))


def test_a_daily_correlation_is_pearsons_over_the_symbols_of_the_date():
    forward, scores = _random(5, 12)
    expected = [np.corrcoef(forward[d], scores[d])[0, 1] for d in range(5)]
    found = correlation_by_date(numbered("return", forward, scores), ranked=False)
    assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_a_daily_rank_correlation_is_that_of_ranks_with_ties_shared():
    forward, scores = _random(5, 12)
    scores = np.round(scores)
    expected = [np.corrcoef(ranks(forward[d]), ranks(scores[d]))[0, 1] for d in range(5)]
    found = correlation_by_date(numbered("return", forward, scores), ranked=True)
    assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_a_date_needs_ten_symbols():
    forward, scores = _random(3, 10)
    forward[1, 0] = math.nan
    found = correlation_by_date(numbered("return", forward, scores), ranked=False)
    assert np.isfinite(found).tolist() == [True, False, True]


def test_a_date_of_equal_scores_has_no_correlation_whatever_the_rounding():
    forward, scores = _random(3, 11)
    scores[1] = 0.1
    for ranked in (True, False):
        found = correlation_by_date(numbered("return", forward, scores), ranked=ranked)
        assert np.isfinite(found).tolist() == [True, False, True]


def test_dates_without_a_correlation_have_no_say_in_mean_and_ratio():
    series = array(0.1, math.nan, 0.3, -0.1)
    once, twice = np.ones((1, 4)), array(2, 1, 1, 0)[None, :]
    assert weighted_mean(series, once)[0] == pytest.approx(0.1)
    assert weighted_mean(series, twice)[0] == pytest.approx(0.5 / 3)
    said = array(0.1, 0.3, -0.1)
    drawn = array(0.1, 0.1, 0.3)
    ratio = weighted_information_ratio
    assert ratio(series, once)[0] == pytest.approx(said.mean() / said.std(ddof=1))
    assert ratio(series, twice)[0] == pytest.approx(drawn.mean() / drawn.std(ddof=1))
    assert math.isnan(ratio(array(0.1, 0.1, 0.1, math.nan), once)[0])
    assert math.isnan(weighted_mean(np.full(4, math.nan), once)[0])


def test_over_time_is_the_mean_of_the_symbols_own_correlations():
    forward, scores = _random(40, 3)
    forward[5:15, 2] = math.nan
    scored = numbered("return", forward, scores + array(0.0, 1e6, -1e6))
    there = np.isfinite(forward)
    each = [np.corrcoef(forward[there[:, s], s], scores[there[:, s], s])[0, 1] for s in range(3)]
    assert weighted_correlation_within_symbols(scored, scored.unit_weights)[0] == pytest.approx(
        np.mean(each), abs=1e-9
    )


def test_over_time_under_weights_is_that_of_the_repeated_rows():
    forward, scores = _random(40, 2, seed=3)
    weights = np.random.default_rng(9).integers(0, 4, (3, 40))
    scored = numbered("return", forward, scores)
    expected = [
        np.mean(
            [
                np.corrcoef(np.repeat(forward[:, s], w), np.repeat(scores[:, s], w))[0, 1]
                for s in (0, 1)
            ]
        )
        for w in weights
    ]
    found = weighted_correlation_within_symbols(scored, weights.astype(float))
    assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_over_time_leaves_out_short_and_constant_symbols():
    forward, scores = _random(30, 3)
    forward[9:, 1] = math.nan
    scores[:, 2] = 0.1
    scored = numbered("return", forward, scores)
    expected = np.corrcoef(forward[:, 0], scores[:, 0])[0, 1]
    assert weighted_correlation_within_symbols(scored, scored.unit_weights)[0] == pytest.approx(
        expected
    )
    still = numbered("return", forward, np.full((30, 3), 0.1))
    assert math.isnan(weighted_correlation_within_symbols(still, still.unit_weights)[0])
