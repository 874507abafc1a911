"""An alarm that is looked at daily: rare without a cause, soon with one, the same if read late."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import NAMES, column_set, panel

from mlengine.core.monitoring.drift.reference import DriftReference, build_reference
from mlengine.core.monitoring.drift.tallies import PanelRows, tally
from mlengine.core.monitoring.sequential import (
    DriftAlarmState,
    add_block,
    alert_level,
    bet_on,
    conformal_p_value,
)
from mlengine.core.monitoring.sequential import look as look_at

LEVEL = alert_level(years=10)


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return build_reference(NAMES, panel(2000), window_bars=10)


def look(
    state: DriftAlarmState, reference: DriftReference, live: PanelRows, *, level: float
) -> DriftAlarmState:
    states = [state, *look_at(state, reference, tally(live, reference.grid), level=level)]
    return states[-1]


def through(rows: PanelRows, last: int) -> PanelRows:
    some = rows.dates <= last
    return PanelRows(rows.values[some], rows.dates[some], rows.symbols[some])


def test_a_bet_is_fair() -> None:
    ranks = (np.arange(100_000) + 0.5) / 100_000
    assert 0.95 <= np.mean([bet_on(rank) for rank in ranks]) <= 1.0
    assert conformal_p_value(1.0, np.array([])) == 1.0
    assert conformal_p_value(9.0, np.arange(9.0)) == pytest.approx(0.1)
    assert conformal_p_value(0.0, np.zeros(9)) == 1.0


def test_a_year_without_a_change_seldom_has_an_alarm(reference: DriftReference) -> None:
    states = [
        look(DriftAlarmState(), reference, panel(252, seed=seed, first=1), level=LEVEL)
        for seed in range(1, 41)
    ]
    assert sum(state.alarms > 0 for state in states) <= 8
    assert all(len(state.scores) == 12 for state in states)


def test_a_change_is_found_soon_and_the_evidence_begins_anew(reference: DriftReference) -> None:
    changed = panel(120, seed=3, first=1, shift=4.0)
    state = look(DriftAlarmState(), reference, changed, level=LEVEL)
    assert state.alarms >= 1
    assert NAMES[state.found[0]] == "slow"
    first = look(DriftAlarmState(), reference, through(changed, 60), level=LEVEL)
    assert (first.alarms, first.e_value) == (1, 0.0)
    assert first.alarmed_since <= first.alarmed <= 60
    assert first.alarm_value >= LEVEL


def test_daily_looks_give_what_one_late_look_gives(reference: DriftReference) -> None:
    rows, state = panel(110, seed=4, first=1), DriftAlarmState()
    for date in range(1, 111, 3):
        state = look(state, reference, through(rows, date), level=LEVEL)
    assert state.through == 100
    late = look(DriftAlarmState(), reference, rows, level=LEVEL)
    assert state.scores == pytest.approx(late.scores, abs=1e-9)
    assert (state.through, state.restarted) == (late.through, late.restarted)
    assert state.e_value == pytest.approx(late.e_value)


def test_dates_count_once(reference: DriftReference) -> None:
    rows = panel(80, seed=5, first=1)
    once = look(DriftAlarmState(), reference, rows, level=LEVEL)
    assert look(once, reference, rows, level=LEVEL) == once


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, -math.inf])
def test_odd_rows_raise_nothing(reference: DriftReference, value: float) -> None:
    rows = panel(80, seed=6, first=1)
    odd = PanelRows(np.full(rows.values.shape, value), rows.dates, rows.symbols)
    for live in (odd, column_set(rows, "fast", value), through(odd, 0), through(odd, 1)):
        assert math.isfinite(look(DriftAlarmState(), reference, live, level=LEVEL).e_value)


def test_without_a_calibration_nothing_is_counted() -> None:
    short = build_reference(NAMES, panel(100), window_bars=10)
    assert look(DriftAlarmState(), short, panel(50, first=1), level=LEVEL) == DriftAlarmState()


def test_a_state_survives_json(reference: DriftReference) -> None:
    state = look(DriftAlarmState(), reference, panel(100, seed=7, first=1), level=LEVEL)
    kept = json.loads(json.dumps(asdict(state)))
    assert (
        DriftAlarmState(**(kept | {"scores": tuple(kept["scores"]), "found": tuple(kept["found"])}))
        == state
    )


def test_ranks_leave_out_blocks_of_more_than_ten_years() -> None:
    state = DriftAlarmState()
    for block in range(300):
        dates = (20 * block + 1, 20 * block + 20)
        state = add_block(state, np.array([0.0]), np.ones(50), dates=dates, level=LEVEL)
    assert len(state.scores) == 126
    assert state.through == 6000


def test_blocks_of_few_symbols_are_passed_over(reference: DriftReference) -> None:
    rows = panel(60, seed=1, first=1, shift=9.0)
    few = rows.symbols < 3
    thin = PanelRows(rows.values[few], rows.dates[few], rows.symbols[few])
    state = look(DriftAlarmState(), reference, thin, level=LEVEL)
    assert (state.through, state.scores, state.e_value) == (60, (), 0.0)
