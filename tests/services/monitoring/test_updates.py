from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import NOW, new_database, opened

from mlengine.errors import DatabaseUnavailable
from mlengine.services.monitoring.updates import MonitoringUpdates, StepReport
from mlengine.stores.monitoring.update_lease import UpdateLease

SOON = NOW + timedelta(minutes=1)


@dataclass(frozen=True)
class Step:
    name: str
    done: list[str]
    work: Callable[[], datetime | None] = lambda: None

    def run(self, now: datetime) -> datetime | None:
        assert now == NOW
        self.done.append(self.name)
        return self.work()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield engine


def updates(engine: Engine, *steps: Step) -> MonitoringUpdates:
    return MonitoringUpdates(steps, UpdateLease(engine), lambda: NOW, lambda: "holder")


def fail() -> None:
    raise DatabaseUnavailable("its disk is full")


def crash() -> None:
    raise RuntimeError("nobody foresaw this")


def test_the_steps_run_in_their_order_and_say_when_to_look_again(engine: Engine) -> None:
    done: list[str] = []
    late = Step("late", done, lambda: SOON + timedelta(hours=1))
    report = updates(engine, late, Step("soon", done, lambda: SOON), Step("never", done)).run(NOW)
    assert done == ["late", "soon", "never"]
    assert report.steps[1] == StepReport("soon", 0.0, None, SOON)
    assert not report.has_failed
    assert not UpdateLease(engine).is_due(now=NOW)
    assert UpdateLease(engine).is_due(now=SOON)


def test_the_failure_of_a_step_ends_no_other(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    report = updates(engine, Step("first", done, fail), Step("second", done)).run(NOW)
    assert done == ["first", "second"]
    assert report.has_failed
    assert report.steps[0].failure
    assert "monitoring_step_failed" in caplog.text


def test_a_crash_is_raised_after_the_other_steps_and_lets_the_lease_go(engine: Engine) -> None:
    done: list[str] = []
    steps = (Step("first", done, crash), Step("second", done))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            updates(engine, *steps).run(NOW)
    assert done == ["first", "second"] * 2


def test_while_another_process_is_at_it_nothing_is_run(engine: Engine) -> None:
    done: list[str] = []
    UpdateLease(engine).acquire("another", now=NOW, lease_seconds=60)
    assert not updates(engine, Step("first", done)).run(NOW).ran
    assert done == []


def keeper() -> threading.Thread:
    (thread,) = (each for each in threading.enumerate() if each.name == "monitoring-lease")
    return thread


@pytest.fixture
def _leases_are_renewed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlengine.services.monitoring.updates._RENEWALS_IN_A_LEASE", 6000)


@pytest.mark.usefixtures("_leases_are_renewed_at_once")
def test_a_lease_that_another_process_took_ends_the_update(engine: Engine) -> None:
    done: list[str] = []
    lease = UpdateLease(engine)

    def lose() -> None:
        lease.release("holder", taken_in=None, next_look=None)
        lease.acquire("another", now=NOW, lease_seconds=60)
        keeper().join(5)

    report = updates(engine, Step("first", done, lose), Step("second", done)).run(NOW)
    assert done == ["first"]
    assert [step.name for step in report.steps] == ["first"]
    assert lease.renew("another", now=NOW, lease_seconds=60), "it is the other's still"


@pytest.mark.usefixtures("_leases_are_renewed_at_once")
def test_a_long_step_keeps_the_lease(engine: Engine) -> None:
    done: list[str] = []
    renewals, is_renewed = [NOW], threading.Event()

    def clock() -> datetime:
        if threading.current_thread().name == "monitoring-lease":
            renewals.append(SOON)
            if len(renewals) > 2:  # the first one is through
                is_renewed.set()
        return renewals[-1]

    def work() -> None:
        assert is_renewed.wait(5)
        later = SOON + timedelta(seconds=30)
        assert UpdateLease(engine).acquire("another", now=later, lease_seconds=60) is None

    steps = (Step("first", done, work), Step("second", done))
    report = MonitoringUpdates(steps, UpdateLease(engine), clock, lambda: "holder").run(NOW)
    assert done == ["first", "second"]
    assert not report.has_failed
