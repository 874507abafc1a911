from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlengine.core.run import ENDED_STATES, LIVE_STATES, Run

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(run_id="r", seq=1, state="queued", spec="{}", actor="ops", request_id=None, queued_at=NOW)


@pytest.mark.parametrize("state", LIVE_STATES)
def test_a_queued_or_running_run_is_live(state):
    assert replace(RUN, state=state).live


@pytest.mark.parametrize("state", ENDED_STATES)
def test_an_ended_run_is_not_live(state):
    assert not replace(RUN, state=state).live


def test_a_running_run_is_overdue_from_the_moment_its_lease_ends():
    running = replace(RUN, state="running", lease_until=NOW)
    assert running.overdue(NOW)
    assert not running.overdue(NOW - timedelta(microseconds=1))


def test_a_run_without_a_lease_is_never_overdue():
    assert not RUN.overdue(NOW)
    assert not replace(RUN, state="running").overdue(NOW)
    assert not replace(RUN, state="lost", lease_until=NOW).overdue(NOW)
