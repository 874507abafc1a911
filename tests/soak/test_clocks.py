"""Hosts whose clocks are an hour off work with one whose clock is right: the database's counts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests import shifted_clock
from tests.older_platforms import ROOT, SYMBOLS, RunningPlatform, running, write_bars
from tests.patience import eventually
from tests.postgres import running_server, what_is_missing
from tests.queue_process import QueueProcess
from tests.training_rig import say

from mlengine import config

SHIFTS = {
    "right": timedelta(0),
    "ahead": timedelta(hours=1),
    "behind": timedelta(hours=-1),
}
CLOSE = timedelta(seconds=20)
TICKS = 3
_missing = what_is_missing() or shifted_clock.what_is_missing()

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(_missing is not None, reason=str(_missing)),
]


@dataclass(frozen=True)
class Team:
    """Hosts by name, and the variables of each."""

    hosts: Mapping[str, RunningPlatform]
    environ: Mapping[str, Mapping[str, str]]

    def command(self, host: str, *arguments: str) -> Any:
        """What a command prints as JSON on that host."""
        done = subprocess.run(
            [sys.executable, "-m", "mlengine", *arguments, "--json"],
            env=config.environment_for_child(self.environ[host]),
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """Each host has a folder of its own; the versions are in one that all share."""
    with ExitStack() as stack:
        database = stack.enter_context(running_server()).new_database()
        queue = stack.enter_context(QueueProcess())
        shared = {
            "AUDIT_DATABASE_URL": database,
            "REDIS_URL": queue.url,
            "RATE_LIMIT_REQUESTS": "0",
            "TRAIN_SYMBOLS": "AAA,BBB",
        }
        (tmp_path / "models").mkdir()
        hosts, environ = {}, {}
        for name, shift in SHIFTS.items():
            folder = tmp_path / name
            write_bars(folder / "bars")
            (folder / "artifacts").mkdir()
            (folder / "artifacts/models").symlink_to(tmp_path / "models")
            clock = shifted_clock.shifted_clock(tmp_path, shift)
            environ[name] = {**shared, **clock, "ARTIFACTS_DIR": str(folder / "artifacts")}
            hosts[name] = stack.enter_context(running(ROOT, folder, **shared, **clock))
        yield Team(hosts, environ)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _is_now(moment: datetime) -> bool:
    return abs(datetime.now(UTC) - moment) < CLOSE


def _check_a_training(team: Team, asked_on: str) -> None:
    """Every host follows it, and none says that it is lost."""
    run_id = team.hosts[asked_on].get("/admin/train", method="POST", body={"seed": len(asked_on)})
    run_id, states = run_id["run_id"], set()
    path = f"/admin/train/status?run_id={run_id}"
    until = time.monotonic() + 180
    while not states & {"succeeded", "failed", "lost", "cancelled"}:
        assert time.monotonic() < until
        runs = [host.get(path) for host in team.hosts.values()]
        runs += [team.command(name, "train", "status", run_id) for name in ("ahead", "behind")]
        states |= {run["state"] for run in runs}
    assert states - {"queued", "running"} == {"succeeded"}
    run = team.hosts["right"].get(path)
    queued, started, ended = (_moment(run[f"{what}_at"]) for what in ("queued", "started", "ended"))
    assert queued <= started <= ended
    assert _is_now(ended)


def test_a_clock_that_is_an_hour_off_loses_no_run_and_moves_no_id_and_no_tick(team: Team) -> None:
    for name, host in team.hosts.items():
        skew = host.get("/health")["clock_skew_seconds"]
        assert skew == pytest.approx(SHIFTS[name].total_seconds(), abs=30)
    for name in team.hosts:
        _check_a_training(team, name)

    ids = []
    for _ in range(20):
        for host in team.hosts.values():
            answer = host.get(f"/predict?symbol={SYMBOLS[len(ids) % 3]}")
            ids.append(answer["prediction_id"])
            milliseconds = int(ids[-1].replace("-", "")[:12], 16)
            assert _is_now(datetime.fromtimestamp(milliseconds / 1000, UTC))
    rows = team.hosts["ahead"].get("/predictions/recent?limit=500")["predictions"]
    assert {row["prediction_id"] for row in rows} >= set(ids)

    team.command("ahead", "train", "schedule", "set", "* * * * *")
    assert eventually(lambda: len(_ticks(team)) >= TICKS, seconds=60 * TICKS + 90)
    team.command("behind", "train", "schedule", "clear")
    minutes = [moment.replace(second=0, microsecond=0) for moment in _ticks(team)]
    assert len(set(minutes)) == len(minutes), "a tick came twice"
    first, last = min(minutes), max(minutes)
    assert len(minutes) == (last - first) // timedelta(minutes=1) + 1, "a tick was left out"
    assert timedelta(0) <= datetime.now(UTC) - last < timedelta(minutes=2)
    say(f"three trainings, {len(ids)} predictions and {len(minutes)} ticks on three clocks")


def _ticks(team: Team) -> list[datetime]:
    """When the schedule asked for trainings, or found one that was running."""
    events = team.hosts["right"].get("/monitoring/history?limit=200")["events"]
    skipped = [_moment(each["at"]) for each in events if each["kind"] == "train_skipped"]
    runs = team.command("right", "train", "runs")
    asked = [_moment(run["queued_at"]) for run in runs if run["actor"] == "schedule"]
    return sorted([*asked, *skipped])
