"""A feature that stands still is told in days, and one that always did is not."""

from __future__ import annotations

import numpy as np
from tests.core.monitoring.drift.panels import NAMES, PanelRows, grid_of, panel

from mlengine.core.monitoring.drift.frozen import frozen, longest_runs, repeated_runs, told_from
from mlengine.core.monitoring.drift.tallies import DateTallies, tally


def stopped(rows: PanelRows, name: str, since: int) -> DateTallies:
    values, at = rows.values.copy(), NAMES.index(name)
    for symbol in np.unique(rows.symbols):
        own = rows.symbols == symbol
        values[own & (rows.dates >= since), at] = values[own & (rows.dates == since), at]
    return tally(PanelRows(values, rows.dates, rows.symbols), grid_of(rows))


def test_the_run_counts_the_dates_since_it_stopped() -> None:
    runs = repeated_runs(stopped(panel(30), "fast", 20))
    assert runs[:, 1].tolist() == [0] * 21 + list(range(1, 10))
    assert runs[:, 0].sum() == 0


def test_it_is_told_from_the_third_date_on() -> None:
    rows = panel(40)
    trained = longest_runs(tally(rows, grid_of(rows)))
    live = stopped(rows, "slow", 20)
    told = [frozen(live.at(slice(0, end)), trained)[0] for end in range(1, 41)]
    assert told.index(True) == 23
    assert all(told[23:])
    assert not frozen(live.at(slice(0, 0)), trained).any()


def test_a_feature_that_stood_still_in_training_may_do_so_for_twice_as_long() -> None:
    rows = panel(60)
    trained = longest_runs(stopped(rows, "fast", 50))
    assert trained.tolist() == [0, 9, 0, 0]
    assert told_from(trained).tolist() == [3, 19, 3, 3]
    assert not frozen(stopped(rows, "fast", 45), trained)[1]
    assert frozen(stopped(rows, "fast", 35), trained)[1]
