import math

import numpy as np
import pytest
from tests.core.metrics.rows import DAY, correlated, numbered

from mlengine.core.evaluation import Bootstrap
from mlengine.core.metrics import block_bootstrap
from mlengine.core.metrics.block_bootstrap import (
    BlockDraws,
    block_bootstrap_config,
    confidence_interval,
    draw_blocks,
    draw_weights,
    weighted_sums,
    widening,
)
from mlengine.core.metrics.bootstrap_estimator import BaselineRows, BootstrapEstimator
from mlengine.core.metrics.correlations import weighted_mean


def _draws(dates, *, block, draws=1000, seed=1):
    return draw_weights(dates, Bootstrap(block, draws, seed, 0.95))


@pytest.mark.parametrize(
    ("dates", "span", "bars_a_date", "block"),
    [(100, 1, 1.0, 20), (100, 10, 1.0, 20), (100, 11, 1.0, 22), (504, 5, 1.0, 63), (20, 1, 6.9, 3)],
)
def test_blocks_hold_two_label_spans_twenty_bars_and_an_eighth_of_the_dates(
    dates, span, bars_a_date, block
):
    found = block_bootstrap_config(dates, label_span_dates=span, seed=7, bars_a_date=bars_a_date)
    assert found == Bootstrap(block, 1000, 7, 0.95)


def test_a_drawn_date_brings_all_its_time_stamps():
    stamps = np.arange(200) * (DAY // 4) + DAY
    draws = draw_blocks(stamps, Bootstrap(4, 100, 1, 0.95))
    assert draws.blocks == 50 // 4
    assert draws.weights.shape == (100, 200)
    of_dates = draws.weights.reshape(100, 50, 4)
    assert np.all(of_dates == of_dates[:, :, :1])
    assert np.array_equal(of_dates[:, :, 0], _draws(50, block=4, draws=100))


def test_an_interval_is_wider_than_its_percentiles_by_students_t_and_the_blocks():
    draws = np.linspace(-1.0, 1.0, 1001)
    low, high = BlockDraws(np.empty((0, 0)), 5).interval(0.0, draws)
    assert (low, high) == pytest.approx((-0.95 * 1.5836, 0.95 * 1.5836), rel=1e-3)
    # A value beyond its own draws is still in its interval.
    assert BlockDraws(np.empty((0, 0)), 5).interval(2.0, draws)[1] == 2.0
    assert widening(25, level=0.999) > 1.5 * widening(25)


def test_every_draw_has_as_many_dates_as_there_are():
    for dates in (20, 21, 39, 100):
        weights = _draws(dates, block=4)
        assert weights.shape == (1000, dates)
        assert set(weights.sum(axis=1)) == {float(dates)}
        assert np.all(weights == np.round(weights))
        assert weights.min() >= 0.0


def test_a_draw_is_made_of_blocks_of_consecutive_dates_on_a_circle():
    # Five blocks of four, and a last one of one date: each steps up where it begins and down
    # where it ends, the last date being followed by the first.
    weights = _draws(21, block=4, draws=4000)
    steps = np.diff(weights, axis=1, append=weights[:, :1])
    assert np.all(np.abs(steps).sum(axis=1) <= 2 * 6)
    around = weights[:, [-1, 0]].min(axis=1) > 0.0
    assert 0.2 < around.mean() < 0.9
    # No date comes alone but the one of the last block.
    alone = (weights > 0.0) & (np.roll(weights, 1, 1) == 0.0) & (np.roll(weights, -1, 1) == 0.0)
    assert alone.sum(axis=1).max() == 1


def test_every_date_is_drawn_equally_often():
    weights = _draws(50, block=10, draws=4000)
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.08)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    assert _draws(100, block=20).tobytes() == _draws(100, block=20).tobytes()
    assert _draws(100, block=20).tobytes() != _draws(100, block=20, seed=2).tobytes()


def test_fewer_dates_than_five_blocks_hold_give_no_interval():
    assert _draws(100, block=20).shape == (1000, 100)
    assert _draws(99, block=20).shape == (0, 99)
    assert confidence_interval(np.empty(0)) == (None, None)


def test_sums_are_those_of_the_repeated_dates():
    weights = np.array([[2.0, 0.0, 1.0]])
    table = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert weighted_sums(weights, table).tolist() == [[6.0, 60.0]]
    assert weighted_sums(weights, table[:, 0]).tolist() == [6.0]


def test_the_interval_of_a_mean_is_the_analytic_one():
    rng = np.random.default_rng(3)
    series = rng.normal(0.2, 1.0, 2000)
    low, high = confidence_interval(weighted_mean(series, _draws(2000, block=20)))
    half = 1.96 * series.std() / math.sqrt(2000)
    assert (low + high) / 2 == pytest.approx(series.mean(), abs=0.15 * half)
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)


def test_undefined_draws_are_left_out_up_to_a_twentieth():
    draws = np.linspace(0.0, 1.0, 1000)
    draws[:50] = math.nan
    assert confidence_interval(draws)[1] == pytest.approx(0.976, abs=0.01)
    draws[50] = math.nan
    assert confidence_interval(draws) == (None, None)


def _mean(scored, draws):
    zero = BaselineRows(np.zeros(len(scored.targets)), "zero")
    return BootstrapEstimator(scored, draws).estimate_mean(scored.targets, zero)


def test_dates_stay_together_with_all_their_symbols():
    # Twenty symbols that move as one say no more than one of them: the interval is that of the
    # dates, four times as wide as that of as many independent rows.
    rng = np.random.default_rng(5)
    moves = np.repeat(rng.normal(size=(400, 1)), 20, axis=1)
    scored = numbered("return", moves, np.ones((400, 20)))
    one = numbered("return", moves[:, :1], np.ones((400, 1)))
    draws = BlockDraws(_draws(400, block=20), 20)
    together, alone = (_mean(rows, draws) for rows in (scored, one))
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    of_rows = 2 * 1.96 * scored.targets.std() / math.sqrt(len(scored.targets))
    assert together.high - together.low > 3.5 * of_rows


def test_blocks_widen_the_interval_of_overlapping_labels():
    rng = np.random.default_rng(6)
    overlapping = np.convolve(rng.normal(size=2009), np.full(10, 0.1), mode="valid")
    by_blocks = confidence_interval(weighted_mean(overlapping, _draws(2000, block=20)))
    by_dates = confidence_interval(weighted_mean(overlapping, _draws(2000, block=1)))
    assert by_blocks[1] - by_blocks[0] > 2.0 * (by_dates[1] - by_dates[0])


@pytest.mark.parametrize("horizon_bars", [pytest.param(1, marks=pytest.mark.soak), 5])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(horizon_bars):
    rng = np.random.default_rng(7)
    covered = 0
    for seed in range(200):
        moves = correlated(rng, dates=500 + horizon_bars - 1, symbols=4, correlation=0.4)
        ahead = np.lib.stride_tricks.sliding_window_view(moves, horizon_bars, axis=0).sum(axis=-1)
        scored = numbered("return", ahead, np.ones_like(ahead))
        config = block_bootstrap_config(500, label_span_dates=horizon_bars, seed=seed)
        found = _mean(scored, draw_blocks(np.arange(500) * DAY, config))
        covered += found.low <= 0.0 <= found.high
    assert 0.9 <= covered / 200 <= 0.99


def test_drawing_is_independent_of_everything_but_its_arguments():
    state = np.random.get_state()[1].tobytes()
    block_bootstrap.draw_weights(100, block_bootstrap_config(500, label_span_dates=5, seed=1))
    assert np.random.get_state()[1].tobytes() == state
