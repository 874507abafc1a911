"""The processes of a whole platform, killed again and again under load: no answered row is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.older_platforms import ROOT, RunningPlatform, running
from tests.patience import eventually
from tests.platforms import SYMBOLS, make_platform
from tests.serving import Load, lasts, load
from tests.training_rig import say

pytestmark = pytest.mark.soak

KILLS, ASKERS = 20, 4
PARTS = ("mlengine.jobs", "valkey-server", "web worker")
PATHS = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(each) for each in text.split()]
    return []


def _command(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _pids(platform: RunningPlatform, part: str) -> list[int]:
    """Of a child of the supervisor, or of the workers below gunicorn's master."""
    if part == "web worker":
        return [each for master in _pids(platform, "gunicorn") for each in _children(master)]
    return [each for each in _children(platform.process.pid) if part in _command(each)]


def _kill(platform: RunningPlatform, part: str) -> None:
    """One of that kind, once there is one."""
    assert eventually(lambda: _pids(platform, part) != [], seconds=90), part
    os.kill(_pids(platform, part)[0], signal.SIGKILL)


def _stored(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "artifacts" / "audit.db")) as connection:
        return {row[0] for row in connection.execute("SELECT prediction_id FROM predictions")}


def test_twenty_kills_of_each_child_lose_no_row_and_web_goes_on(tmp_path: Path) -> None:
    """They wait half a minute in the end before they are started again: nine minutes in all."""
    make_platform(tmp_path).control.database.dispose()
    settings = {"RATE_LIMIT_REQUESTS": "1000000", "LOG_LEVEL": "ERROR"}
    with running(ROOT, tmp_path, **settings) as platform:
        (master,) = _pids(platform, "gunicorn")
        with load(platform.port, PATHS, askers=ASKERS) as traffic:
            for _ in range(KILLS):
                for part in PARTS:
                    _kill(platform, part)
                _goes_on(traffic)
        assert eventually(lambda: all(_pids(platform, part) for part in PARTS), seconds=90)
        assert platform.ask("/ready")[0] == 200
        assert _pids(platform, "gunicorn") == [master]
        lasts(30, lambda: not (tmp_path / "artifacts" / "audit-spool").exists())
    answered = {each.body["prediction_id"] for each in traffic.answers if each.status == 200}
    lost, failed = answered - _stored(tmp_path), len(traffic.failed)
    say(f"{KILLS} kills of each: {len(answered)} answered, {failed} cut off, {len(lost)} lost")
    assert not lost
    assert {each.status for each in traffic.failed} <= {0}
    assert failed <= KILLS * ASKERS  # those that the killed web workers were answering


def _goes_on(traffic: Load) -> None:
    count = len(traffic.answers)
    assert eventually(lambda: len(traffic.answers) > count + 100, seconds=60)
