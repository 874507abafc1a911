"""How often the monitoring cries without a cause, and how soon with one: the short forms.

Bounds are those of the full forms, widened by what so few trials leave open.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmarks.drift_trials import WINDOWS, broken, first_found, one_look, stationary
from benchmarks.market_streams import Stream, draw, real_ratios, rows_of

from mlengine.core.features import CORE, compute
from mlengine.stores.market_data.sample import find_sample_file, read_sample


@pytest.mark.parametrize("bars", WINDOWS)
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
