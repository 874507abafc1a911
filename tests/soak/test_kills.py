"""Workers and trainings killed with -9: nothing torn, nothing lost, nothing stuck."""

from __future__ import annotations

import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from tests.patience import eventually
from tests.training_rig import NOTHING_YET, TrainingRig, now, say

from mlengine.core.runs.run import Run
from mlengine.stores.registry.registry import Registry

LIMIT_SECONDS = 30.0
RIGS = 2


@dataclass
class Tally:
    """What was seen after each kill."""

    kills: int = 0
    torn: int = 0
    lost_versions: int = 0
    orphans: int = 0
    slowest_seconds: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def look(self, rig: TrainingRig, run: Run, seconds: float) -> None:
        """Judge the registry after the end of `run`."""
        self.kills += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        self.ends[run.state] = self.ends.get(run.state, 0) + 1
        registry = Registry(rig.models)
        versions = registry.versions()
        manifests = {version: registry.verify(version) for version in versions}
        fingerprints = {version: each.fingerprint for version, each in manifests.items()}
        self.torn += versions != [f"v{n}" for n in range(1, len(versions) + 1)]
        self.lost_versions += not self.fingerprints.items() <= fingerprints.items()
        self.fingerprints = fingerprints
        for version, manifest in manifests.items():
            ended = rig.run(manifest.run_id).ended_at
            visible = (rig.models / version).stat().st_ctime
            self.orphans += ended is not None and visible > ended.timestamp()

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {state}" for state, count in sorted(self.ends.items()))
        slowest = f"; the slowest was lost, failed or retried after {self.slowest_seconds:.1f} s"
        return (
            f"{self.kills} kills: {self.torn} torn versions, {self.lost_versions} lost older "
            f"versions, {self.orphans} versions from an orphan; runs: {ends}"
            f"{slowest if self.slowest_seconds else ''}"
        )

    def __add__(self, other: Tally) -> Tally:
        ends = {
            state: self.ends.get(state, 0) + other.ends.get(state, 0)
            for state in {*self.ends, *other.ends}
        }
        return Tally(
            self.kills + other.kills,
            self.torn + other.torn,
            self.lost_versions + other.lost_versions,
            self.orphans + other.orphans,
            max(self.slowest_seconds, other.slowest_seconds),
            ends,
        )


def check(tally: Tally) -> None:
    say(str(tally))
    assert (tally.torn, tally.lost_versions, tally.orphans) == (0, 0, 0)
    assert set(tally.ends) <= {"succeeded", "failed", "lost"}
    assert tally.slowest_seconds <= LIMIT_SECONDS


def succeeds(rig: TrainingRig) -> None:
    """The next training goes as if nothing had been."""
    run, _ = rig.end_of(rig.ask())
    assert run.state == "succeeded", run
    assert run.version == rig.versions()[-1]
    assert not rig.is_publishing()


def kill_at_random(seed: int, kills: int) -> Tally:
    """Kill the worker and the training by turns, most while the training runs, some before."""
    chance, tally = random.Random(seed), Tally()  # noqa: S311 - moments, no secrets
    with TrainingRig(TRAIN_CV_FOLDS="5") as rig:
        rig.start_worker()
        succeeds(rig)
        while tally.kills < kills:
            run_id = rig.ask()
            if tally.kills % 5:
                assert rig.reaches(run_id, "running")
            time.sleep(chance.uniform(0.0, _running_seconds(rig)))
            if not rig.run(run_id).unfinished:
                continue  # too late, it had ended
            if tally.kills % 2:
                assert rig.kill_horse() or not rig.run(run_id).unfinished
                killed_at = now()
            else:
                rig.kill_worker()
                killed_at = now()
                rig.start_worker()
            seconds = _settled(rig, run_id, killed_at)
            tally.look(rig, rig.end_of(run_id)[0], seconds)
        succeeds(rig)
    return tally


def _running_seconds(rig: TrainingRig) -> float:
    """How long the last training that succeeded was at its work."""
    page = rig.control.runs.page(limit=1, cursor=None, state="succeeded", now=now())
    (run,) = page.rows
    assert run.started_at is not None
    assert run.ended_at is not None
    return (run.ended_at - run.started_at).total_seconds()


def _settled(rig: TrainingRig, run_id: str, killed_at: datetime) -> float:
    """Seconds until the run has ended, or has begun anew."""

    def settled() -> bool:
        run = rig.run(run_id)
        return not run.unfinished or (run.started_at is not None and run.started_at > killed_at)

    assert eventually(settled, seconds=90), rig.run(run_id)
    return (now() - killed_at).total_seconds()


@pytest.mark.soak
def test_forty_kills_at_random_moments_leave_everything_whole() -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(RIGS, mp_context=spawn) as rigs:
        tallies = rigs.map(kill_at_random, range(RIGS), [40 // RIGS] * RIGS)
        check(sum(tallies, Tally()))


def kill_at_steps(steps: range) -> tuple[Tally, int]:
    """Kill the training at those steps of publishing until it survives; (tally, last step)."""
    tally = Tally()
    with TrainingRig() as rig:
        rig.start_worker()
        succeeds(rig)
        for step in steps:
            rig.sabotage(f"kill {step}")
            run, _ = rig.end_of(rig.ask())
            if run.state == "succeeded":
                break
            tally.look(rig, run, 0.0)
            published = "after it had published" in str(run.error)
            assert published == (run.version is not None)
            assert run.version is None or run.version == rig.versions()[-1]
            assert not rig.is_publishing()
        rig.sabotage(NOTHING_YET)
        succeeds(rig)
    return tally, step


def test_a_training_killed_while_it_publishes_leaves_everything_whole() -> None:
    tally = Tally()
    with TrainingRig() as rig:
        rig.sabotage("kill 5")
        rig.start_worker()
        tally.look(rig, rig.end_of(rig.ask())[0], 0.0)
        rig.sabotage(NOTHING_YET)
        succeeds(rig)
    check(tally)
    assert tally.ends == {"failed": 1}


@pytest.mark.soak
def test_a_worker_killed_at_its_work_leaves_everything_whole() -> None:
    tally = Tally()
    with TrainingRig() as rig:
        rig.sabotage("sleep 0 120")
        rig.start_worker()
        run_id = rig.ask()
        assert rig.reaches(run_id, "running")
        rig.kill_worker()
        rig.sabotage(NOTHING_YET)
        seconds = _settled(rig, run_id, now())
        tally.look(rig, rig.run(run_id), seconds)
        rig.start_worker()
        succeeds(rig)
    check(tally)
    assert tally.ends == {"lost": 1}


@pytest.mark.soak
def test_a_training_killed_at_each_step_of_publishing_leaves_everything_whole() -> None:
    tally, last = kill_at_steps(range(1, 100))
    say(f"killed at each of the {last - 1} steps of publishing")
    check(tally)
    assert tally.kills == last - 1 > 10
