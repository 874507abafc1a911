"""What `python -m mlengine` checks and mends before it starts anything."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.supervised import free_port

from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.config import Settings, environment_for_child
from mlengine.errors import CannotStart
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.system.preflight import require_artifacts, supervisor_lock

ROOT = Path(__file__).parents[2]


def mlengine(command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    chosen = {"ARTIFACTS_DIR": str(folder), "FLASK_SKIP_DOTENV": "1", "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "mlengine", command],
        cwd=ROOT,
        env=environment_for_child({**chosen, **environ}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def control(tmp_path: Path) -> ControlPlane:
    """With a run that a killed platform has left running."""
    control = build_control(Settings.from_env({"ARTIFACTS_DIR": str(tmp_path)}))
    control.migrate_and_backfill()
    now = datetime.now(UTC) + timedelta(hours=1)
    control.run_store.create(
        NewRun(run_id="dead", spec="{}", actor="ops", request_id=None), now=now
    )
    control.run_store.start("dead", now=now, lease_seconds=30)
    return control


def state(control: ControlPlane) -> str:
    return control.runs.get("dead", now=datetime.now(UTC)).state


def test_the_supervisor_has_the_runs_of_its_dead_predecessor_written_off(
    control: ControlPlane, tmp_path: Path
) -> None:
    with supervisor_lock(tmp_path):
        done = mlengine("prepare", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert state(control) == "lost"


def test_with_a_queue_elsewhere_a_run_may_be_alive_elsewhere(
    control: ControlPlane, tmp_path: Path
) -> None:
    with supervisor_lock(tmp_path):
        assert mlengine("prepare", tmp_path, REDIS_URL="redis://queue.example").returncode == 0
    assert state(control) == "running"


def test_only_a_supervisor_and_no_mere_migration_writes_runs_off(
    control: ControlPlane, tmp_path: Path
) -> None:
    assert mlengine("migrate", tmp_path).returncode == 0
    refused = mlengine("prepare", tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "mlengine: only a supervisor prepares; `migrate` is for hands\n"
    assert state(control) == "running"


@pytest.mark.parametrize(
    ("command", "variable", "value", "said"),
    [
        ("up", "TRAIN_FEATURE_SET", "nobodys", "'nobodys': expected one of alpha158, core"),
        ("up", "FEATURE_SETS", "broken", "'broken': expected a module that can be imported"),
        ("up", "REDIS_URL", "http://u:s3cret@h", "'http://…': expected a redis://"),
        pytest.param(
            "up",
            "TRAIN_UNIVERSE_FILE",
            "/no/such.csv",
            "'/no/such.csv': expected a file",
            marks=pytest.mark.soak,
        ),
        ("train", "TRAIN_UNIVERSE_FILE", "/tmp", "'/tmp': expected a file that can be read"),
        ("worker", "TRAIN_UNIVERSE_FILE", "/no/such.csv", "'/no/such.csv': expected a file"),
        ("web", "FEATURE_SETS", "no_such_module", "'no_such_module': expected a module"),
        pytest.param(
            "worker",
            "TRAIN_FEATURE_SET",
            "nobodys",
            "'nobodys': expected one of alpha158, core",
            marks=pytest.mark.soak,
        ),
        ("up", "MARKET_DATA_DIR", "/no/such", "'/no/such': expected a folder that can be read"),
        pytest.param(
            "web",
            "MARKET_DATA_DIR",
            "/no/such",
            "'/no/such': expected a folder that can be read",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "worker",
            "MARKET_DATA_DIR",
            "/no/such",
            "'/no/such': expected a folder",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "train",
            "MARKET_DATA_DIR",
            "/no/such",
            "'/no/such': expected a folder",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_a_bad_setting_is_one_line_before_anything_starts(
    tmp_path: Path, command: str, variable: str, value: str, said: str
) -> None:
    (tmp_path / "broken.py").write_text("FEATURE_SETS = (")
    done = mlengine(command, tmp_path, PORT=str(free_port()), **{variable: value})
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [each for each in done.stderr.splitlines() if " mlengine.lifecycle " not in each]
    assert line.startswith(f"mlengine: {variable}={said}")
    assert "s3cret" not in done.stderr


def test_the_web_server_alone_says_that_it_has_no_universe_file_and_goes_on(
    tmp_path: Path,
) -> None:
    absent = {"TRAIN_UNIVERSE_FILE": "/no/such.csv", "FEATURE_SETS": "no_such_module"}
    warned, refused = mlengine("web", tmp_path, **absent).stderr.splitlines()
    assert "TRAIN_UNIVERSE_FILE='/no/such.csv': expected a file" in warned
    assert refused.startswith("mlengine: FEATURE_SETS='no_such_module'")


def test_a_name_that_is_nearly_a_settings_is_warned_of(tmp_path: Path) -> None:
    absent = {"RATE_LIMIT_REQUEST": "5", "FEATURE_SETS": "no_such_module", "LOGNAME": "me"}
    warned, _ = mlengine("web", tmp_path, **absent).stderr.splitlines()
    assert "no such setting" in warned
    assert "variable=RATE_LIMIT_REQUEST nearest=RATE_LIMIT_REQUESTS" in warned


@pytest.mark.parametrize("command", ["up", "web", "worker"])
def test_a_name_in_the_env_file_that_is_nearly_a_settings_is_warned_of(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / ".env").write_text("TRAIN_SYMBOL=AAPL\nMARKET_DATA_DIR=/no/such\n")
    environ = {name: value for name, value in os.environ.items() if name != "FLASK_SKIP_DOTENV"}
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", command],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    warned, refused = done.stderr.splitlines()
    assert "variable=TRAIN_SYMBOL nearest=TRAIN_SYMBOLS" in warned
    assert refused.startswith("mlengine: MARKET_DATA_DIR='/no/such'")


def test_the_help_lists_what_hands_may_ask_for(tmp_path: Path) -> None:
    help_text = mlengine("help", tmp_path)
    _, _, commands = help_text.stdout.partition("Commands:\n")
    names = [line.split()[0] for line in commands.splitlines()]
    assert help_text.returncode == 0
    assert {"up", "web", "worker", "migrate", "train"} < set(names)
    assert "prepare" not in names, "what only a supervisor asks for"
    assert mlengine("nonsense", tmp_path).returncode == 2


def test_a_file_system_that_is_mounted_read_only_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CannotStart, match="mounted read-only: mount it for writing, or choose"):
        require_artifacts(tmp_path)
