"""How well the mean of training is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.trained_gains import OldValues, block_mean


def slow(dates: int, half_life: float, seed: int) -> Floats:
    """Of deviation 1."""
    stays = 0.5 ** (1.0 / half_life)
    shocks = np.random.default_rng(seed).normal(0.0, math.sqrt(1.0 - stays**2), dates + 1000)
    return np.asarray(lfilter([1.0], [1.0, -stays], shocks)[1000:])


@pytest.mark.parametrize(
    ("dates", "steps", "blocks"), [(1470, 1, 36), (700, 1, 35), (100, 1, 5), (400, 30, 6)]
)
def test_blocks_are_as_long_as_their_dates_need(dates: int, steps: int, blocks: int) -> None:
    found = block_mean(np.random.default_rng(1).normal(0.0, 1.0, dates), steps)
    assert found is not None
    assert found.blocks == blocks


def test_too_few_dates_say_nothing() -> None:
    assert block_mean(np.random.default_rng(1).normal(0.0, 1.0, 99), 1) is None
    assert block_mean(np.random.default_rng(1).normal(0.0, 1.0, 199), 20) is None


def test_skill_that_comes_and_goes_is_measured_by_long_blocks() -> None:
    noise = np.random.default_rng(2).normal(0.0, 1.0, (100, 1470))
    steady, wandering = [], []
    for seed in range(100):
        plain = block_mean(noise[seed], 1)
        waves = block_mean(noise[seed] + slow(1470, 60.0, seed), 1)
        assert plain is not None
        assert waves is not None
        steady.append(plain.blocks == 12)
        wandering.append(waves.blocks == 12)
    assert np.mean(steady) <= 0.2
    assert np.mean(wandering) >= 0.8


def test_the_error_is_at_least_that_of_dates_that_know_of_no_other() -> None:
    turns = np.tile([1.0, -1.0], 500) + np.random.default_rng(3).normal(0.0, 0.1, 1000)
    found = block_mean(turns, 1)
    assert found is not None
    assert found.error == pytest.approx(turns.std(ddof=1) / math.sqrt(1000))
    assert OldValues(turns, found).highest > found.mean + 3.0 * found.error
