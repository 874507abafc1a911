from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.patience import eventually, patience
from tests.queue_process import is_on_disk
from tests.supervised import Supervised, alive

from mlengine import cli
from mlengine.__main__ import mlengine, train
from mlengine.config import Settings
from mlengine.supervisor.registry_state import RegistryState

UP = " is up ("


def test_the_platform_starts_and_announces_its_addresses(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        assert platform.says(f"http://localhost:{platform.port}/predict?symbol=AAPL")
        assert platform.says("training the first one")
        assert platform.says("ready: curl")
        assert platform.queue().ping()


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_children_quickly(tmp_path: Path, asked: signal.Signals) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        pids = platform.pids()
        platform.send(asked)
        assert platform.process.wait(timeout=patience(5)) == 0
        assert not any(alive(pid) for pid in pids)


def test_sighup_is_passed_on_and_ends_nobody(tmp_path: Path) -> None:
    with Supervised(tmp_path, worker="noting") as platform:
        assert platform.says(UP), platform.lines
        pids = platform.pids()
        platform.send(signal.SIGHUP)
        assert platform.says("reload passed on")
        assert eventually((tmp_path / "worker.reloaded").exists)
        assert all(alive(pid) for pid in pids)
        assert platform.process.poll() is None


def test_every_part_logs_its_start_and_its_stop(tmp_path: Path) -> None:
    with Supervised(tmp_path, LOG_FORMAT="json") as platform:
        assert platform.says("platform is up"), platform.lines
        platform.send(signal.SIGTERM)
        assert platform.process.wait(timeout=patience(20)) == 0
        assert platform.says("supervisor stopped")
        lines = [json.loads(line) for line in platform.lines]
    events = [line["event"] for line in lines]
    assert events[:2] == ["supervisor started", "queue server started"]
    assert events[-2:] == ["queue server stopped", "supervisor stopped"]
    assert lines[0]["pid"] == platform.process.pid
    assert lines[0].keys() >= {"version", "env", "artifacts"}


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_platform_leaves_no_socket_behind(tmp_path: Path, asked: signal.Signals) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        folder = platform.socket().parent
        assert folder.is_dir()
        platform.send(asked)
        assert platform.process.wait(timeout=patience(5)) == 0
        assert not folder.exists()


def test_kill_minus_nine_leaves_no_process_behind(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        pids = platform.pids()
        platform.send(signal.SIGKILL)
        assert eventually(lambda: not any(alive(pid) for pid in pids), seconds=3)


def test_a_dead_worker_is_started_again_while_web_serves_on(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        web, worker = platform.pid("web"), platform.pid("worker")
        os.kill(worker, signal.SIGKILL)
        assert platform.says("child=worker reason=SIGKILL failures=1 next_try_seconds=0.5")
        assert platform.says("child started again child=worker")
        assert eventually(lambda: platform.pid("worker") != worker)
        assert alive(web)


def test_a_dead_queue_server_is_started_again_with_its_jobs(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        platform.queue().enqueue_run("run-1", timeout_seconds=60)
        assert eventually(lambda: is_on_disk(tmp_path, "run-1"))
        os.kill(platform.queue_pid(), signal.SIGKILL)
        assert platform.says('child started again child="queue server"')
        assert platform.queue().has_job("run-1")
        assert alive(platform.pid("web"))


def test_a_queue_server_whose_socket_was_taken_away_is_started_again(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        shutil.rmtree(platform.socket().parent)
        assert platform.says('child started again child="queue server"')
        assert platform.queue().ping()


def test_the_end_of_the_web_server_is_the_end_of_all(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        pids = platform.pids()
        os.kill(pids[0], signal.SIGKILL)
        assert platform.process.wait(timeout=patience(8)) == 1
        assert platform.says('child="web server" reason=SIGKILL failures=1\n')
        assert not any(alive(pid) for pid in pids)


def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with Supervised(tmp_path, worker="deaf") as platform:
        assert platform.says(UP), platform.lines
        pids, begun = platform.pids(), time.monotonic()
        platform.send(signal.SIGTERM)
        assert platform.process.wait(timeout=patience(9)) == 0
        assert time.monotonic() - begun > 2
        assert not any(alive(pid) for pid in pids)


@pytest.mark.soak
def test_a_worker_that_fails_five_times_in_its_first_minute_ends_all(tmp_path: Path) -> None:
    with Supervised(tmp_path, command="train", worker="failing") as platform:
        assert platform.process.wait(timeout=patience(20)) == 1
        assert platform.says('child=worker reason="exit code 3" failures=5')
        assert not alive(platform.queue_pid())


def test_a_worker_that_always_fails_is_started_for_ever_while_web_serves_on(tmp_path: Path) -> None:
    with Supervised(tmp_path, worker="failing") as platform:
        assert platform.says(
            'child=worker reason="exit code 3" failures=3 next_try_seconds=2.0', seconds=30
        )
        assert alive(platform.pid("web"))
        platform.send(signal.SIGTERM)
        assert platform.process.wait(timeout=patience(20)) == 0


def _kill_and_wait(find: Callable[[], int]) -> None:
    """Kill a child; returns once it is another process that lives."""
    before = find()
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: find() != before and alive(find()), seconds=60)


@pytest.mark.soak
def test_children_that_are_killed_twenty_times_are_started_again(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        web = platform.pid("web")
        for find in (platform.queue_pid, lambda: platform.pid("worker")):
            for _ in range(20):
                _kill_and_wait(find)
        assert alive(web)
        assert platform.process.poll() is None


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    with Supervised(tmp_path, worker="deaf") as platform:
        assert platform.says(UP), platform.lines
        pids = platform.pids()
        platform.send(signal.SIGINT)
        time.sleep(0.3)
        platform.send(signal.SIGINT)
        platform.process.wait(timeout=patience(1))
        assert not any(alive(pid) for pid in pids)


def test_a_first_training_that_fails_leaves_the_platform_up(tmp_path: Path) -> None:
    with Supervised(tmp_path, train="1") as platform:
        assert platform.says("first training failed, the platform stays up")
        assert platform.says("mlengine train")
        assert alive(platform.pid("web"))


def test_a_first_version_that_is_not_activated_is_not_called_ready(tmp_path: Path) -> None:
    with Supervised(tmp_path, TRAIN_ACTIVATE="never", PATH=os.defpath) as platform:
        assert platform.says("training the first one")
        assert platform.says("no model is active (TRAIN_ACTIVATE=never)")
        assert platform.says("bin/mlengine models activate v1")
        assert not platform.says("ready:", seconds=0.1)


def test_a_policy_that_never_activates_trains_no_second_version(tmp_path: Path) -> None:
    for version in ("v9", "v10"):
        (tmp_path / "models" / "main" / version).mkdir(parents=True)
    with Supervised(tmp_path, TRAIN_ACTIVATE="never") as platform:
        assert platform.says("models activate v10")
        assert not platform.says("training the first one", seconds=0.1)
    with Supervised(tmp_path, TRAIN_ACTIVATE="if_better") as platform:
        assert platform.says("training the first one")


def test_a_training_that_publishes_nothing_is_not_called_ready(tmp_path: Path) -> None:
    settings = Settings.from_env({"ARTIFACTS_DIR": str(tmp_path)})
    assert "no model was published" in RegistryState(settings).next_step()


def test_with_an_active_model_nothing_is_trained(tmp_path: Path) -> None:
    active = tmp_path / "models" / "main" / "ACTIVE"
    active.parent.mkdir(parents=True)
    active.write_text("{}")
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        assert not platform.says("training the first one", seconds=0.3)


def test_a_preparation_that_fails_ends_the_start(tmp_path: Path) -> None:
    with Supervised(tmp_path, prepare="3") as platform:
        assert platform.process.wait(timeout=patience(8)) == 3
        assert not (tmp_path / "web.pid").exists()
        assert not platform.queue().ping()


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with Supervised(tmp_path) as first:
        assert first.says(UP), first.lines
        done = _start(tmp_path / "second", PORT=str(first.port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"mlengine: can't listen on 127.0.0.1 port {first.port}")
    assert done.stderr.count("\n") == 1


def test_a_second_platform_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Supervised(tmp_path) as first:
        assert first.says(UP), first.lines
        done = _start(tmp_path, PORT="1")
        assert f"a platform (pid {first.process.pid}) already runs on {tmp_path}" in done.stderr


def test_of_three_platforms_on_one_folder_at_once_one_runs_and_two_say_so(tmp_path: Path) -> None:
    with (
        Supervised(tmp_path) as one,
        Supervised(tmp_path) as another,
        Supervised(tmp_path) as third,
    ):
        all_three = (one, another, third)
        refusal = f"already runs on {tmp_path}"
        assert eventually(
            lambda: sum(each.says(refusal, seconds=0) for each in all_three) == 2, seconds=60
        )
        (running,) = [each for each in all_three if not each.says(refusal, seconds=0)]
        assert running.says(UP, seconds=60), running.lines
        refused = [each for each in all_three if each is not running]
        assert [each.process.wait(timeout=patience(20)) for each in refused] == [1, 1]
        assert all(each.says(f"(pid {running.process.pid})") for each in refused)
        assert all(alive(pid) for pid in running.pids())


def test_two_platforms_run_side_by_side(tmp_path: Path) -> None:
    with Supervised(tmp_path / "a") as first, Supervised(tmp_path / "b") as second:
        assert first.says(UP), first.lines
        assert second.says(UP), second.lines
        first.queue().enqueue_run("run-1", timeout_seconds=60)
        assert not second.queue().has_job("run-1")


def test_a_bad_setting_is_one_clear_line(tmp_path: Path) -> None:
    done = _start(tmp_path, WEB_WORKERS="many")
    assert done.stderr == "mlengine: WEB_WORKERS='many': expected a whole number from 1 to 64\n"


def test_an_unwritable_artifacts_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = _start(tmp_path / "file" / "artifacts")
    assert done.stderr.startswith("mlengine: the artifacts folder ")
    assert "ARTIFACTS_DIR" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_host_that_is_not_here_is_one_clear_line(tmp_path: Path) -> None:
    done = _start(tmp_path, HOST="192.0.2.1")
    assert done.stderr.startswith("mlengine: can't listen on 192.0.2.1")


def test_one_training_brings_its_own_worker_and_ends_with_it(tmp_path: Path) -> None:
    with Supervised(tmp_path, command="train", train="7") as training:
        assert training.process.wait(timeout=patience(8)) == 7
        assert not alive(training.pid("worker"))


def test_one_training_of_a_line_asks_for_that_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", "train", "--model", "nope"],
        cwd=tmp_path,
        env={**os.environ, "ARTIFACTS_DIR": str(tmp_path / "artifacts"), "REDIS_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "no model line 'nope'" in done.stderr) == (3, True)


def test_one_training_uses_the_running_platform(tmp_path: Path) -> None:
    with Supervised(tmp_path) as platform:
        assert platform.says(UP), platform.lines
        worker = platform.pid("worker")
        with Supervised(tmp_path, command="train") as training:
            assert training.process.wait(timeout=patience(8)) == 0
        assert platform.pid("worker") == worker


def test_the_supervisor_loads_no_door_and_no_heavy_library() -> None:
    heavy = {"polars", "lightgbm", "numpy", "flask", "rq", "redis", "sqlalchemy", "requests"}
    code = "import sys, mlengine.__main__; print(*{name.split('.')[0] for name in sys.modules})"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert not heavy & set(output.split())


def test_an_unknown_command_shows_the_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", "dance"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "migrate" in done.stdout


def test_plain_train_of_any_line_is_the_supervisors_and_with_options_it_is_flasks() -> None:
    def resolve(*arguments: str) -> click.Command | None:
        with mlengine.make_context("mlengine", ["--help"], resilient_parsing=True) as context:
            return mlengine.resolve_command(context, list(arguments))[1]

    assert resolve("train") is resolve("train", "--model", "slow") is train
    assert resolve("train", "--model=slow") is train
    assert resolve("train", "--model", "slow", "--json") is cli.load("train")
    assert resolve("train", "--wait") is resolve("train", "runs") is cli.load("train")


def test_the_command_must_be_run_in_the_project_folder(tmp_path: Path) -> None:
    """The working folder is the platform's: its `.env` counts, and `artifacts/` lies there."""
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / ".env").write_text("ADMIN_API_KEY=a,a\n")
    environment = {name: value for name, value in os.environ.items() if name != "FLASK_SKIP_DOTENV"}
    outcomes = [
        subprocess.run(
            [sys.executable, "-m", "mlengine", "migrate"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for folder in (tmp_path, tmp_path / "platform")
    ]
    assert [outcome.returncode for outcome in outcomes] == [0, 1], outcomes
    assert outcomes[1].stderr.startswith("mlengine: ADMIN_API_KEY=")
    assert (tmp_path / "artifacts" / "audit.db").exists()


def _start(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m mlengine up`, for starts that must fail before anything is started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    chosen = {"ARTIFACTS_DIR": str(folder), "PORT": port, "REDIS_URL": "", "FLASK_SKIP_DOTENV": "1"}
    return subprocess.run(
        [sys.executable, "-m", "mlengine", "up"],
        env={**os.environ, **chosen, **environment},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
