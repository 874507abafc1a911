import math

import numpy as np
import pytest

from mlengine.core.promotion.diebold_mariano import diebold_mariano, small_sample_factor


def test_six_dates_two_steps_ahead_worked_out_by_hand():
    """Mean 1, autocovariances 8/6 and -2/6, so variance (8 - 4)/6 and a standard error of 1/3."""
    found = diebold_mariano(np.array([2.0, 0.0, 1.0, 3.0, 0.0, 0.0]), steps_ahead=2)
    assert (found.dates, found.mean_difference) == (6, 1.0)
    assert (found.kernel, found.lags) == ("rectangular", 1)
    assert found.statistic == pytest.approx(3.0 * math.sqrt(5 / 9))
    # Student's t with 5 degrees of freedom at sqrt(5), where its angle is 45 degrees.
    assert found.p_value == pytest.approx(0.25 - 2 / (3 * math.pi))


def test_a_variance_of_zero_falls_back_to_bartlett_by_hand():
    """Autocovariances 10, -5, 2, -4, 2 over 6: 10 - 2*5 = 0, with Bartlett's weights 10 - 8."""
    found = diebold_mariano(np.array([1.0, 0.0, 2.0, 1.0, 3.0, -1.0]), steps_ahead=2)
    assert (found.kernel, found.lags) == ("bartlett", 4)
    assert found.statistic == pytest.approx(math.sqrt(10.0))


def test_a_variance_below_zero_falls_back_too():
    found = diebold_mariano(np.tile([1.0, -0.9], 50), steps_ahead=2)
    assert found.kernel == "bartlett"
    assert found.statistic is not None
    assert found.mean_difference == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("dates", "steps", "squared"),
    [(6, 2, 5 / 9), (500, 1, 499 / 500), (500, 5, 495 * 496 / 500**2), (20, 20, 0.0)],
)
def test_the_small_sample_factor_is_that_of_harvey_leybourne_and_newbold(dates, steps, squared):
    assert small_sample_factor(dates, steps) ** 2 == pytest.approx(squared)


def _independent(differences, steps):
    """Every pair of dates less than `steps` apart, and Student's density summed up."""
    n, mean = len(differences), float(np.mean(differences))
    pairs = [
        (differences[i] - mean) * (differences[j] - mean)
        for i in range(n)
        for j in range(n)
        if abs(i - j) < steps
    ]
    plain = mean / math.sqrt(math.fsum(pairs) / n**2)
    statistic = plain * math.sqrt((n + 1 - 2 * steps + steps * (steps - 1) / n) / n)
    return statistic, _student_above(statistic, n - 1)


def _student_above(statistic, degrees):
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))
    x = np.linspace(0.0, abs(statistic), 20_001)
    density = scale / math.sqrt(degrees * math.pi) * (1 + x**2 / degrees) ** (-(degrees + 1) / 2)
    beside = float(np.trapezoid(density, x))
    return 0.5 - math.copysign(beside, statistic)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_an_independent_implementation_says_the_same(steps):
    rng = np.random.default_rng(steps)
    for dates in (60, 123, 250):
        noise = rng.normal(size=dates + steps)
        differences = np.convolve(noise, np.ones(steps), "valid")[:dates] + rng.normal()
        found = diebold_mariano(differences, steps_ahead=steps)
        assert found.kernel == "rectangular"
        statistic, p_value = _independent(differences, steps)
        assert found.statistic == pytest.approx(statistic, rel=1e-9)
        assert found.p_value == pytest.approx(p_value, abs=1e-8)


def test_swapping_the_two_models_turns_the_statistic_round():
    differences = np.random.default_rng(1).normal(0.1, 1.0, 300)
    there = diebold_mariano(differences, steps_ahead=5)
    back = diebold_mariano(-differences, steps_ahead=5)
    assert back.statistic == -there.statistic
    assert there.p_value + back.p_value == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0.0, 0.3, -1e-9])
def test_differences_that_never_vary_have_no_statistic(value):
    found = diebold_mariano(np.full(300, value), steps_ahead=5)
    assert (found.statistic, found.p_value) == (None, None)
    assert found.mean_difference == pytest.approx(value)


def test_no_more_dates_than_steps_have_no_statistic():
    differences = np.random.default_rng(1).normal(size=20)
    assert diebold_mariano(differences, steps_ahead=20).statistic is None
    assert diebold_mariano(differences, steps_ahead=300).statistic is None
    assert diebold_mariano(differences, steps_ahead=5).statistic is not None
