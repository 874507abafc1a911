"""Trainings that are cancelled, take too long, or lose their queue: real ones, really stuck."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from tests.patience import eventually, patience
from tests.supervised import alive
from tests.training_rig import TrainingRig, now


def cancelled_at(rig: TrainingRig, *, queue: bool = True) -> float:
    """Cancel a training that is stuck while it publishes; the seconds until nothing is left."""
    rig.start_worker()
    run_id = rig.ask()
    assert eventually(rig.is_publishing, seconds=60)
    horse = rig.horse()
    assert horse is not None
    if not queue:
        rig.queue.stop()
    begun = time.monotonic()
    rig.control.runs.cancel(run_id, actor="ann", now=now())
    run = rig.run(run_id)
    assert (run.state, run.error) == ("cancelled", "cancelled by ann")
    assert eventually(lambda: not alive(horse), seconds=10)
    assert eventually(lambda: not rig.is_publishing(), seconds=10), rig.log()
    assert rig.run(run_id).state == "cancelled"
    assert rig.versions() == []
    if queue:  # without it, the worker's own end has one
        assert "traceback" not in rig.log().lower()
    return time.monotonic() - begun


def test_a_running_training_is_cancelled_within_two_seconds_and_swept() -> None:
    with TrainingRig() as rig:
        rig.sabotage("seize 4")
        assert cancelled_at(rig) < patience(2)
        rig.sabotage("kill 1000000")
        run, _ = rig.end_of(rig.ask())
        assert (run.state, run.version) == ("succeeded", "v1")
        assert any('"stage"' in line for line in run.log)


def test_a_cancelled_training_notices_by_itself_where_the_queue_is_down() -> None:
    with TrainingRig() as rig:
        rig.sabotage("freeze 4")
        assert cancelled_at(rig, queue=False) < patience(5)


@pytest.mark.soak
def test_a_cancelled_training_that_can_not_notice_is_killed_by_its_worker() -> None:
    with TrainingRig() as rig:
        rig.sabotage("seize 4")
        assert cancelled_at(rig, queue=False) < patience(10)


def ended_at_its_timeout(rig: TrainingRig, seconds: int) -> float:
    """Run one that is stuck from its start; the seconds between the start and the end."""
    rig.start_worker()
    for _ in range(5):
        run, _ = rig.end_of(rig.ask())
        if run.started_at is not None:  # else the machine is too busy to start its process in time
            break
    assert run.state == "failed"
    assert run.error == f"it took longer than the {seconds} s of TRAIN_TIMEOUT_SECONDS"
    assert run.started_at is not None
    assert run.ended_at is not None
    assert eventually(lambda: rig.horse() is None, seconds=5)
    return (run.ended_at - run.started_at).total_seconds()


def seconds_to_import() -> float:
    """How long the process of a training takes to start now."""
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import mlengine.bootstrap.control, mlengine.jobs.worker"],
        check=True,
    )
    return time.monotonic() - begun


def test_a_training_that_is_stuck_in_native_code_is_killed_soon_after_its_timeout() -> None:
    # From when its process starts, which must get to its step by then; its lease is longer.
    seconds = 6 + round(3 * seconds_to_import())
    with TrainingRig(TRAIN_TIMEOUT_SECONDS=str(seconds)) as rig:
        rig.sabotage("seize 0")
        assert ended_at_its_timeout(rig, seconds) < seconds + patience(6)


@pytest.mark.soak
def test_a_training_that_takes_too_long_ends_by_itself() -> None:
    seconds = round(patience(20))
    with TrainingRig(TRAIN_TIMEOUT_SECONDS=str(seconds)) as rig:
        rig.sabotage(f"sleep 0 {6 * seconds}")
        assert ended_at_its_timeout(rig, seconds) < seconds + patience(1)


def test_a_queued_training_is_cancelled_and_never_begun() -> None:
    with TrainingRig() as rig:
        run_id = rig.ask()
        rig.control.runs.cancel(run_id, actor="ann", now=now())
        assert not rig.control.runs.queue.has_job(run_id)
        second = rig.ask()
        rig.queue.stop()
        rig.control.runs.cancel(second, actor="ann", now=now())
        assert rig.run(second).state == "cancelled"
