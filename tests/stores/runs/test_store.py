from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.databases import NOW, new_database, opened, url_of
from tests.processes import race_for_run

from mlengine.core.runs.progress import Progress
from mlengine.core.runs.retraining import Trigger
from mlengine.errors import (
    DamagedRow,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    LeaseLost,
    RunNotCancellable,
    RunNotFound,
    TrainingInProgress,
)
from mlengine.stores.database import tables
from mlengine.stores.database.engine import writing
from mlengine.stores.database.events import EventStore
from mlengine.stores.runs.retrainings import RetrainingStore
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.store import RunStore

LATER = NOW + timedelta(seconds=10)
LEASE = 30.0
EXPIRED = LATER + timedelta(seconds=LEASE)


@pytest.fixture
def runs(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield RunStore(engine)


def _claim(runs: RunStore, run_id: str = "one", now=NOW):
    return runs.create(
        NewRun(run_id=run_id, spec='{"seed":1}', actor="ops", request_id="req"), now=now
    )


def _start(runs: RunStore, run_id: str = "one"):
    _claim(runs, run_id)
    assert runs.start(run_id, now=LATER, lease_seconds=LEASE)


def test_a_claim_is_a_queued_run_with_its_recipe(runs):
    run = _claim(runs)
    assert (run.run_id, run.state, run.spec, run.actor) == ("one", "queued", '{"seed":1}', "ops")
    assert (run.request_id, run.queued_at, run.seq) == ("req", NOW, 1)
    assert (run.started_at, run.ended_at, run.progress, run.version) == (None,) * 4
    assert runs.get("one", now=NOW) == run == runs.newest(now=NOW)


@pytest.mark.parametrize("started", [False, True])
def test_a_second_claim_names_the_live_run(runs, started):
    _claim(runs)
    if started:
        runs.start("one", now=LATER, lease_seconds=LEASE)
    with pytest.raises(TrainingInProgress) as refusal:
        _claim(runs, "two", LATER)
    assert refusal.value.run_id == "one"
    with pytest.raises(RunNotFound):
        runs.get("two", now=NOW)


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "lost"])
def test_an_ended_run_makes_room(runs, state):
    _claim(runs)
    runs.finish("one", state=state, now=LATER)
    assert _claim(runs, "two").seq == 2


def test_eight_racing_processes_let_one_in(tmp_path):
    url = new_database(tmp_path / "audit.db")
    done = subprocess.run(
        [sys.executable, "-m", race_for_run.__name__, url, "8"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    printed = [line.split() for line in done.stdout.splitlines()]
    (winner,) = (run_id for outcome, run_id in printed if outcome == "in")
    assert sorted(printed) == sorted([["in", winner]] + [["out", winner]] * 7)


def test_only_a_queued_run_can_be_started(runs):
    _start(runs)
    assert not runs.start("one", now=LATER, lease_seconds=LEASE)
    assert not runs.start("none", now=LATER, lease_seconds=LEASE)
    run = runs.get("one", now=LATER)
    assert (run.state, run.started_at, run.lease_until) == ("running", LATER, EXPIRED)


def test_a_renewal_prolongs_the_lease_and_notes_the_progress(runs):
    _start(runs)
    progress = Progress(stage="folds", percent=100 / 3, fold=1, folds=5, iteration=20)
    runs.renew("one", now=NOW + timedelta(seconds=39), lease_seconds=LEASE, progress=progress)
    run = runs.get("one", now=NOW + timedelta(seconds=68))
    assert (run.state, run.progress) == ("running", progress)
    runs.renew("one", now=NOW + timedelta(seconds=60), lease_seconds=LEASE)
    assert runs.get("one", now=NOW).progress == progress


def test_an_expired_lease_reads_as_lost_and_is_written_so(runs):
    _start(runs)
    assert runs.get("one", now=EXPIRED - timedelta(microseconds=1)).state == "running"
    run = runs.get("one", now=EXPIRED)
    assert (run.state, run.ended_at, run.lease_until) == ("lost", EXPIRED, None)
    assert "lease" in run.error
    assert runs.get("one", now=NOW) == run == runs.newest(now=NOW)


def test_the_newest_run_too_reads_as_lost(runs):
    _start(runs)
    assert runs.newest(now=EXPIRED).state == "lost"


def test_a_claim_takes_over_from_an_expired_lease(runs):
    _start(runs)
    assert _claim(runs, "two", EXPIRED).state == "queued"
    assert runs.get("one", now=NOW).state == "lost"


def test_an_orphan_can_neither_renew_nor_finish_and_so_not_publish(runs):
    _start(runs)
    with pytest.raises(LeaseLost):
        runs.renew("one", now=EXPIRED, lease_seconds=LEASE)
    _claim(runs, "two", EXPIRED)
    with pytest.raises(LeaseLost):
        runs.renew("one", now=LATER, lease_seconds=LEASE)
    with pytest.raises(LeaseLost):
        runs.finish("one", state="succeeded", now=EXPIRED, version="v1")
    assert runs.get("two", now=EXPIRED).state == "queued"


def test_a_renewal_needs_a_started_run(runs):
    _claim(runs)
    with pytest.raises(LeaseLost):
        runs.renew("one", now=LATER, lease_seconds=LEASE)


def test_a_finished_run_keeps_its_result(runs):
    _start(runs)
    runs.finish("one", state="succeeded", now=EXPIRED, version="v3")
    run = runs.get("one", now=EXPIRED + timedelta(days=9))
    assert (run.state, run.ended_at, run.version, run.error) == ("succeeded", EXPIRED, "v3", None)
    with pytest.raises(LeaseLost):
        runs.finish("one", state="failed", now=EXPIRED, error="late")


def test_a_refused_enqueue_ends_a_queued_run(runs):
    _claim(runs)
    runs.finish("one", state="failed", now=LATER, error="the queue is down")
    assert runs.get("one", now=LATER).error == "the queue is down"
    assert not runs.start("one", now=LATER, lease_seconds=LEASE)


@pytest.mark.parametrize("state", ["running", "queued", "idle"])
def test_a_run_ends_in_an_ended_state_only(runs, state):
    _claim(runs)
    with pytest.raises(ValueError, match=state):
        runs.finish("one", state=state, now=LATER)


def test_queued_runs_are_listed_until_they_start(runs):
    assert runs.queued() == []
    _claim(runs)
    assert [run.run_id for run in runs.queued()] == ["one"]
    runs.start("one", now=LATER, lease_seconds=LEASE)
    assert runs.queued() == []


def test_a_queued_run_waits_for_any_time(runs):
    _claim(runs)
    assert runs.mark_overdue_as_lost(now=NOW + timedelta(days=99)) == 0
    assert runs.get("one", now=NOW + timedelta(days=99)).state == "queued"


def test_expiry_says_how_many(runs):
    _start(runs)
    assert runs.mark_overdue_as_lost(now=LATER) == 0
    assert runs.mark_overdue_as_lost(now=EXPIRED) == 1


def test_there_may_be_no_run_at_all(runs):
    assert runs.newest(now=NOW) is None
    with pytest.raises(RunNotFound):
        runs.get("none", now=NOW)


def test_a_store_without_its_table_is_unavailable(tmp_path):
    with opened(url_of(tmp_path / "empty.db")) as engine, pytest.raises(DatabaseUnavailable):
        _claim(RunStore(engine))


def test_every_running_run_is_abandoned_whatever_its_lease_and_queued_ones_stay(runs):
    _start(runs)
    assert runs.unfinished_ids() == {"one"}
    assert runs.mark_running_as_lost(now=LATER) == 1
    run = runs.get("one", now=LATER)
    assert (run.state, run.ended_at, run.lease_until) == ("lost", LATER, None)
    assert run.error == "the platform was stopped meanwhile"
    with pytest.raises(LeaseLost):
        runs.renew("one", now=LATER, lease_seconds=LEASE)
    _claim(runs, "two", now=LATER)
    assert runs.mark_running_as_lost(now=LATER) == 0
    assert runs.unfinished_ids() == {"two"}


def _keyed_claim(run_id: str, key: str | None, body: str = "a") -> NewRun:
    return NewRun(
        run_id=run_id,
        spec="{}",
        actor="ops",
        request_id="req",
        idempotency_key=key,
        body_hash=body,
    )


def test_every_change_of_a_row_moves_its_sequence_on(runs):
    assert _claim(runs).sequence == 1
    runs.start("one", now=LATER, lease_seconds=LEASE)
    runs.renew("one", now=LATER, lease_seconds=LEASE, log=["a", "b"])
    runs.renew("one", now=LATER, lease_seconds=LEASE)
    run = runs.get("one", now=LATER)
    assert (run.sequence, run.log) == (4, ("a", "b"))
    runs.finish("one", state="succeeded", now=LATER, result={"equal": True}, log=["c"])
    run = runs.get("one", now=LATER)
    assert (run.sequence, run.log, run.result) == (5, ("c",), {"equal": True})
    assert run.progress == Progress("done", 100.0)


def test_a_key_stands_for_its_run_also_after_that_ended(runs):
    first = runs.create(_keyed_claim("one", "k"), now=NOW)
    assert runs.create(_keyed_claim("two", "k"), now=NOW) == first
    with pytest.raises(TrainingInProgress):
        runs.create(_keyed_claim("three", "other"), now=NOW)
    runs.finish("one", state="succeeded", now=LATER)
    assert runs.create(_keyed_claim("four", "k"), now=LATER).run_id == "one"
    assert runs.create(_keyed_claim("five", "other"), now=LATER).run_id == "five"
    assert runs.create(_keyed_claim("six", "k"), now=LATER).run_id == "one"
    with pytest.raises(IdempotencyKeyReused):
        runs.create(_keyed_claim("seven", "k", body="b"), now=LATER)


def test_a_refused_run_frees_its_key(runs):
    runs.create(_keyed_claim("one", "k"), now=NOW)
    runs.fail_not_enqueued("one", now=NOW, error="the queue is down")
    assert runs.get("one", now=NOW).state == "failed"
    assert runs.create(_keyed_claim("two", "k", body="b"), now=NOW).run_id == "two"
    runs.start("two", now=NOW, lease_seconds=LEASE)
    runs.fail_not_enqueued("two", now=NOW, error="too late")
    assert runs.get("two", now=NOW).state == "running"


@pytest.mark.parametrize("started", [False, True])
def test_a_cancelled_run_is_fenced_and_makes_room(runs, started):
    _claim(runs)
    if started:
        runs.start("one", now=LATER, lease_seconds=LEASE)
    runs.cancel("one", actor="ann", now=LATER)
    run = runs.get("one", now=LATER)
    assert (run.state, run.error, run.ended_at) == ("cancelled", "cancelled by ann", LATER)
    with pytest.raises(LeaseLost):
        runs.renew("one", now=LATER, lease_seconds=LEASE)
    assert not runs.holds_lease("one", now=LATER)
    runs.cancel("one", actor="bob", now=LATER)
    assert runs.get("one", now=LATER) == run
    _claim(runs, "two")
    (event,) = EventStore(runs.engine).page(None, 9, None).rows
    assert (event.kind, event.actor) == ("train_cancelled", "ann")
    assert event.details == {"run_id": "one"}


def test_a_run_that_ended_or_publishes_can_not_be_cancelled(runs):
    with pytest.raises(RunNotFound):
        runs.cancel("none", actor="ann", now=NOW)
    _start(runs)
    sealed = Progress(Progress.PUBLISHING, 99.0)
    runs.renew("one", now=LATER, lease_seconds=LEASE, progress=sealed)
    with pytest.raises(RunNotCancellable, match="is publishing"):
        runs.cancel("one", actor="ann", now=LATER)
    assert runs.holds_lease("one", now=LATER)
    runs.finish("one", state="succeeded", now=LATER, version="v1")
    with pytest.raises(RunNotCancellable, match="is succeeded"):
        runs.cancel("one", actor="ann", now=LATER)


def test_a_run_whose_lease_expired_is_lost_and_not_cancelled(runs):
    _start(runs)
    with pytest.raises(RunNotCancellable, match="is lost"):
        runs.cancel("one", actor="ann", now=EXPIRED)


def test_failed_and_lost_runs_stand_in_the_history(runs):
    _start(runs)
    runs.mark_overdue_as_lost(now=EXPIRED)
    _claim(runs, "two", EXPIRED)
    runs.finish("two", state="failed", now=EXPIRED, error="why")
    events = EventStore(runs.engine).page(None, 9, None).rows
    assert [(event.kind, event.details["run_id"]) for event in events] == [
        ("train_failed", "two"),
        ("train_lost", "one"),
    ]
    assert events[0].details["reason"] == "why"


def test_runs_are_paged_newest_first_and_by_state(runs):
    for number in range(5):
        _claim(runs, f"run{number}")
        state = "failed" if number % 2 else "succeeded"
        runs.finish(f"run{number}", state=state, now=LATER)
    page = runs.page(limit=2, cursor=None, state=None, now=LATER)
    assert [run.run_id for run in page.rows] == ["run4", "run3"]
    page = runs.page(limit=9, cursor=page.next_cursor, state=None, now=LATER)
    assert ([run.run_id for run in page.rows], page.next_cursor) == (["run2", "run1", "run0"], None)
    failed = runs.page(limit=9, cursor=None, state="failed", now=LATER)
    assert [run.run_id for run in failed.rows] == ["run3", "run1"]


def test_an_expired_run_is_listed_as_lost(runs):
    _start(runs)
    (run,) = runs.page(limit=9, cursor=None, state="lost", now=EXPIRED).rows
    assert run.run_id == "one"


@pytest.mark.parametrize("damage", [{"spec": "[]"}, {"progress": '{"unknown": 1}'}])
def test_a_run_that_is_none_is_a_damaged_row(runs, damage):
    _claim(runs)
    with writing(runs.engine) as connection:
        connection.execute(update(tables.runs).values(damage))
    with pytest.raises(DamagedRow):
        runs.get("one", now=NOW)


def test_an_event_that_another_has_dealt_with_is_not_passed_over_again(runs):
    store = RetrainingStore(runs.engine)
    store.begin()
    state, trigger = store.read(), Trigger(7, "drift_detected", None)
    ticks = [
        store.pass_over(state, trigger, reason="too soon", actor="worker", now=NOW).outcome
        for _ in range(2)
    ]
    assert ticks == ["skipped", "taken"]
    assert store.read().event_seq == 7
