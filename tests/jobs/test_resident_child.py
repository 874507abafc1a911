from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.databases import NOW
from tests.patience import eventually
from tests.platforms import make_platform, settings

from mlengine.core.signals.signal import SignalQuery
from mlengine.errors import DatabaseUnavailable
from mlengine.jobs.resident_child import ResidentChild
from mlengine.jobs.tickers import SIGNALS
from mlengine.services.signals.exports import request_export

SLEEP = ("sleep", "600")


def test_it_stays_as_long_as_it_is_not_stopped() -> None:
    child = ResidentChild(SLEEP, lambda: True, "failed")
    child.stop()
    assert child.tick() == 1.0
    process = child._child
    assert child.tick() == 1.0
    assert child._child is process
    child.stop()
    assert process is not None
    assert process.poll() is not None


def test_one_that_ignores_the_request_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    monkeypatch.setattr("mlengine.jobs.resident_child._SECONDS_TO_END", 0.1)
    child = ResidentChild(SLEEP, lambda: True, "failed")
    child._child = subprocess.Popen(
        [sys.executable, "-c", f"{deaf}; time.sleep(600)"], stdout=subprocess.PIPE
    )
    with child._child as process:
        assert process.stdout is not None
        process.stdout.readline()
        child.stop()
        assert process.returncode == -9


def test_one_that_failed_is_said_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    child = ResidentChild(("false",), lambda: True, "scoring failed")
    child.tick()
    assert eventually(lambda: child.tick() > 1.0)
    assert "scoring failed" in caplog.text


def test_it_is_started_where_it_is_wanted_alone(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> bool:
        raise DatabaseUnavailable("it is down")

    idle = ResidentChild(SLEEP, lambda: False, "failed")
    assert (idle.tick(), idle._child) == (1.0, None)
    assert ResidentChild(SLEEP, refuse, "not read").tick() == 10.0
    assert "not read" in caplog.text


def test_the_process_itself_writes_what_is_wanted_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = make_platform(tmp_path)
    store = platform.control.signal_exports
    now = platform.control.clock()
    export = request_export(store, "main", SignalQuery(as_of=NOW), "csv", now=now)
    monkeypatch.setenv("ARTIFACTS_DIR", str(settings(tmp_path).artifacts_dir))
    monkeypatch.setenv("MARKET_DATA_DIR", str(tmp_path / "bars"))
    subprocess.run(SIGNALS, check=True, timeout=60)
    assert store.get(export.id, now=now).state == "ready"
