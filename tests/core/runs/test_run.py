from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import ENDED_STATES, LIVE_STATES, Run

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(run_id="r", seq=1, state="queued", spec="{}", actor="ops", request_id=None, queued_at=NOW)
RUNNING = replace(RUN, state="running")


@pytest.mark.parametrize("state", LIVE_STATES)
def test_a_queued_or_running_run_is_live(state):
    assert replace(RUN, state=state).unfinished


@pytest.mark.parametrize("state", ENDED_STATES)
def test_an_ended_run_is_not_live(state):
    assert not replace(RUN, state=state).unfinished


def test_a_running_run_is_overdue_from_the_moment_its_lease_ends():
    running = replace(RUN, state="running", lease_until=NOW)
    assert running.overdue(NOW)
    assert not running.overdue(NOW - timedelta(microseconds=1))


def test_a_run_without_a_lease_is_never_overdue():
    assert not RUN.overdue(NOW)
    assert not replace(RUN, state="running").overdue(NOW)
    assert not replace(RUN, state="lost", lease_until=NOW).overdue(NOW)


def test_the_end_is_foreseen_from_percent_and_elapsed_and_not_too_early() -> None:
    started = replace(RUNNING, started_at=NOW, progress=Progress("folds", 25.0))
    later = NOW + timedelta(seconds=10)
    assert started.eta_seconds(later) == 30.0
    assert started.eta_seconds(NOW + timedelta(seconds=20)) == 60.0
    assert replace(started, progress=Progress("bars", 5.0)).eta_seconds(later) is None
    assert replace(started, progress=None).eta_seconds(later) is None
    assert replace(started, state="succeeded").eta_seconds(later) is None


def test_what_is_shown_of_a_run_hides_its_key() -> None:
    run = replace(RUNNING, spec='{"note":"weekly","seed":1}', idempotency_key="key")
    view = run.as_dict(NOW)
    assert (view["note"], view["parameters"]) == ("weekly", {"note": "weekly", "seed": 1})
    assert not {"spec", "seq", "idempotency_key", "body_hash"} & set(view)
