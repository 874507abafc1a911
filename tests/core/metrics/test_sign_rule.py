import numpy as np
import pytest
from tests.core.metrics.rows import drawn, numbered, undrawn

from mlengine.core.metrics.sign_rule import sign_rule


def test_the_sign_rule_on_six_bars_by_hand():
    forward = np.array([[0.02], [-0.02], [0.04], [0.00], [0.02], [-0.06]])
    scored = numbered("direction", forward, [[0.6], [0.5], [0.4], [0.4], [0.7], [0.2]])
    rule = sign_rule(scored, undrawn(6), horizon_bars=2, cost_bps=10.0)
    # Signs + + - - + -; a half of the capital each: 0.01 - 0.01 - 0.02 - 0 + 0.01 + 0.03.
    assert rule.gross_return == pytest.approx(0.02 / 6)
    # Positions 1/2, 1, 0, -1, 0, 0: changes of 1/2, 1/2, 1, 1, 1, 0.
    assert rule.turnover == pytest.approx(4.0 / 6)
    assert rule.net_return == pytest.approx(0.02 / 6 - 0.001 * 4.0 / 6)
    # 0.01 - 0.01 + 0.02 + 0 + 0.01 - 0.03.
    assert rule.buy_and_hold == pytest.approx(0.0, abs=1e-15)
    assert (rule.bars, rule.cost_bps) == (6, 10.0)
    assert (rule.net_low, rule.net_high) == (None, None)


def test_a_position_is_the_mean_of_the_last_signs():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=50)
    scored = numbered("return", rng.normal(size=(50, 1)), scores[:, None])
    signs = np.where(scores > 0.0, 1.0, -1.0)
    held = np.convolve(signs, np.full(5, 0.2))[:50]
    rule = sign_rule(scored, undrawn(50), horizon_bars=5, cost_bps=0.0)
    assert rule.turnover == pytest.approx(np.abs(np.diff(held, prepend=0.0)).mean())
    assert rule.net_return == rule.gross_return


def test_each_symbol_turns_over_on_its_own_dates_and_weighs_the_same():
    nan = np.nan
    forward = np.array([[0.01, 0.03], [0.01, nan], [0.01, 0.03]])
    scored = numbered("return", forward, [[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])
    rule = sign_rule(scored, undrawn(3), horizon_bars=1, cost_bps=0.0)
    assert rule.gross_return == pytest.approx((-0.01 + 0.01 + 0.02) / 3)
    # The first symbol buys once; the second, halted for a bar, turns from -1 to 1.
    assert rule.turnover == pytest.approx((1.0 + 0.0 + 1.0) / 3)
    assert rule.buy_and_hold == pytest.approx((0.02 + 0.01 + 0.02) / 3)


def test_the_interval_of_the_net_return_covers_what_is_paid():
    forward = np.full((6, 1), 0.01)
    scored = numbered("return", forward, np.ones((6, 1)))
    draws = drawn([[2.0, 1, 1, 1, 1, 0], [0.0, 1, 1, 1, 1, 2]])
    rule = sign_rule(scored, draws, horizon_bars=1, cost_bps=600.0)
    low, high = (0.06 - 2 * 0.06) / 6, 0.01
    assert rule.net_low == pytest.approx(low + 0.025 * (high - low), rel=1e-6)
    assert rule.net_high == pytest.approx(high - 0.025 * (high - low), rel=1e-6)
