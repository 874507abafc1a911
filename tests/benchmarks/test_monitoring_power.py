"""How often the monitoring cries without a cause, and how soon with one: the short forms.

Bounds are those of the full forms, widened by what so few trials leave open.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmarks.drift_trials import (
    WINDOWS,
    broken,
    first_alarm,
    first_found,
    first_frozen,
    one_look,
    stationary,
)
from benchmarks.market_streams import Stream, draw, real_ratios, rows_of
from benchmarks.skill_trials import World, labels_and_forecasts, trial

from mlengine.core import metrics
from mlengine.core.features import CORE, compute
from mlengine.stores.market_data.sample import find_sample_file, read_sample


@pytest.mark.parametrize("bars", [100, pytest.param(500, marks=pytest.mark.soak)])
def test_breaks_are_found_in_time(bars: int) -> None:
    limits = {"volatility": 60, "correlation": 120, "frozen": 20}
    found: dict[str, list[float]] = {name: [] for name in limits}
    for seed in range(3):
        reference, live, change = broken(seed)
        calibration = reference.calibrated(WINDOWS[bars])
        for name in limits:
            ends = np.arange(change + 1, len(live[name].dates) + 1)
            scores = reference.scores(live[name], ends, calibration)
            found[name].append(first_found(scores, calibration.threshold))
    for name, limit in limits.items():
        assert np.median(found[name]) <= limit, name


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["iid", "garch"])
@pytest.mark.parametrize("bars", WINDOWS)
def test_one_look_at_what_does_not_change_seldom_alarms(kind: str, bars: int) -> None:
    looks = [one_look(*stationary(kind, seed, None), WINDOWS[bars]) for seed in range(60)]
    assert np.mean([look.alarm for look in looks]) <= 0.15
    assert np.median(np.mean([look.psi for look in looks], axis=0)) <= 0.10
    assert np.median(np.mean([look.ks for look in looks], axis=0)) <= 0.10


def test_simulated_bars_are_sane_and_move_together() -> None:
    ratios = draw("garch", 400, seed=3).ratios
    assert (ratios[:, :, 1] >= np.maximum(ratios[:, :, 0], ratios[:, :, 3])).all()
    assert (ratios[:, :, 2] <= np.minimum(ratios[:, :, 0], ratios[:, :, 3])).all()
    moves = np.corrcoef(np.log(ratios[:, :, 3]).T)
    assert moves[np.triu_indices(12, 1)].mean() == pytest.approx(0.4, abs=0.15)


def test_ratios_of_real_bars_give_their_features_again() -> None:
    bars = pl.concat(list(read_sample(find_sample_file()).values()))
    bars = bars.filter(~pl.col("symbol").is_in(["FB", "GOOG"])).with_columns(
        pl.col("volume").cast(pl.Float64)
    )
    ratios = real_ratios(bars)
    found = Stream(ratios).rows()
    expected = rows_of(compute(bars.sort("symbol", "timestamp"), CORE))
    at = CORE.names.index("return_1")
    assert found.values[:, at] == pytest.approx(expected.values[:, at], rel=1e-6, abs=1e-9)


def test_the_sequential_alarm_finds_a_break_soon() -> None:
    reference, live, change = broken(1)
    assert first_alarm(reference, live["volatility"], first=change) <= 80
    assert first_alarm(reference, live["frozen"], first=change) <= 60
    assert first_frozen(reference, live["frozen"], first=change) == 4
    assert np.isinf(first_frozen(reference, live["none"]))


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["iid", "garch"])
def test_a_year_of_daily_looks_seldom_alarms(kind: str) -> None:
    years = []
    for seed in range(60):
        trial = stationary(kind, seed, None)
        years.append(min(first_alarm(*trial), first_frozen(*trial)) <= 252)
    assert np.mean(years) <= 0.17


WORLDS = [
    World(auc, steps, symbols) for auc in (0.53, 0.6) for steps in (1, 5) for symbols in (4, 20)
]


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_skill_that_stays_is_seldom_said_to_be_lost(world: World) -> None:
    lost = [np.isfinite(trial(world, seed, vanished=False)[0]) for seed in range(40)]
    assert np.mean(lost) <= 0.1


def test_skill_that_is_gone_is_found() -> None:
    found = np.array([trial(World(0.6, 1, 20), seed, vanished=True) for seed in range(20)])
    assert np.mean(np.isfinite(found[:, 0])) >= 0.95
    assert np.isinf(found[:, 1]).all()


@pytest.mark.parametrize(("auc", "steps"), [(0.55, 1), (0.6, 5)])
def test_the_simulated_model_has_the_auc_that_it_is_said_to_have(auc: float, steps: int) -> None:
    ups, said = labels_and_forecasts(World(auc, steps, 400), 3, vanished=False)
    assert metrics.auc(ups.ravel(), said.ravel()) == pytest.approx(auc, abs=0.01)
