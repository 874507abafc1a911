import numpy as np
import pytest
from tests.core.metrics.rows import DAY, array, drawn, numbered

from mlengine.core.metrics import block_bootstrap
from mlengine.core.metrics.calibration import calibration, calibration_bins


def _forecasts(seed=1, *, dates=600, symbols=4, slope=1.0, intercept=0.0):
    """Outcomes whose log odds are intercept + slope * those of the forecast."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 0.7, (dates, symbols))
    chance = 1.0 / (1.0 + np.exp(-(intercept + slope * logits)))
    forward = np.where(rng.random((dates, symbols)) < chance, 0.01, -0.01)
    return numbered("direction", forward, 1.0 / (1.0 + np.exp(-logits)))


def _draws(scored):
    config = block_bootstrap.block_bootstrap_config(100, label_span_dates=1, seed=1)
    return block_bootstrap.draw_blocks(np.arange(scored.date_count) * DAY, config)


def _descended(scored, weights):
    """The same fit by plain gradient ascent of the mean log-likelihood."""
    logits = np.log(scored.scores / (1.0 - scored.scores))
    fit = np.zeros(2)
    for _ in range(20_000):
        miss = weights * (scored.target_up - 1.0 / (1.0 + np.exp(-(fit[0] + fit[1] * logits))))
        fit = fit + 2.0 * array(miss.sum(), (miss * logits).sum()) / weights.sum()
    return fit


def test_the_fit_is_that_of_maximum_likelihood():
    scored = _forecasts(slope=0.4, intercept=0.3)
    found = calibration(scored, _draws(scored))
    intercept, slope = _descended(scored, np.ones(len(scored.scores)))
    assert found.slope.value == pytest.approx(slope, abs=1e-8)
    assert found.intercept.value == pytest.approx(intercept, abs=1e-8)


def test_one_newton_step_is_close_to_the_fit_of_the_draw():
    scored = _forecasts()
    draws = _draws(scored)
    found = calibration(scored, drawn(draws.weights[:1]))
    intercept, slope = _descended(scored, draws.weights[0][scored.date_index])
    spread = calibration(scored, draws).slope
    assert _moved_end(found.slope) == pytest.approx(slope, abs=0.1 * (spread.high - spread.low))
    assert _moved_end(found.intercept) == pytest.approx(intercept, abs=0.01)


def _moved_end(estimate):
    """Of the interval of a single draw, whose other end is the value."""
    return estimate.low if estimate.low < estimate.value else estimate.high


def test_honest_forecasts_have_slope_one_and_intercept_zero_in_their_intervals():
    scored = _forecasts()
    found = calibration(scored, _draws(scored))
    assert found.slope.low < 1.0 < found.slope.high
    assert found.intercept.low < 0.0 < found.intercept.high
    assert (found.slope.baseline, found.intercept.baseline) == (1.0, 0.0)
    bold = _forecasts(slope=0.4)
    assert calibration(bold, _draws(bold)).slope.high < 0.7


def test_what_has_no_finite_fit_says_so():
    for scores in ([[0.6]] * 40, [[0.4], [0.6]] * 20):
        scored = numbered("direction", [[-0.01], [0.01]] * 20, scores)
        found = calibration(scored, _draws(scored))
        assert found.slope.value is None
        assert "no finite fit" in found.slope.reason
        assert sum(each.rows for each in found.bins) == 40


def test_a_fit_on_too_few_dates_says_why_it_has_no_interval():
    scored = numbered("direction", [[-0.01, 0.01, 0.01, -0.01]] * 19, [[0.4, 0.6, 0.4, 0.6]] * 19)
    found = calibration(scored, _draws(scored))
    assert found.slope.value == pytest.approx(0.0, abs=1e-9)
    assert (found.slope.low, found.intercept.low) == (None, None)
    assert "too few dates for an interval" in found.slope.reason


def test_ten_bins_lie_between_the_deciles_and_hold_every_row_once():
    forecasts = np.arange(100) / 100.0
    table = calibration_bins((forecasts >= 0.5).astype(float), forecasts)
    assert [each.rows for each in table] == [10] * 10
    assert table[0].low == 0.0
    assert table[-1].high == 0.99
    assert table[0].mean_forecast == pytest.approx(0.045)
    assert [each.up_share for each in table] == [0.0] * 5 + [1.0] * 5


def test_equal_forecasts_share_one_bin_and_the_others_are_empty():
    table = calibration_bins(array(1, 0, 1, 1), np.full(4, 0.6))
    assert sorted(each.rows for each in table) == [0] * 9 + [4]
    (full,) = (each for each in table if each.rows)
    assert full.up_share == 0.75
    assert {each.mean_forecast for each in table} == {None, 0.6}
