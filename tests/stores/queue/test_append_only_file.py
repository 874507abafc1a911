from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.damage import KINDS
from tests.patience import eventually
from tests.queue_process import QueueProcess, is_on_disk

from mlengine.errors import CannotStart
from mlengine.stores.queue.append_only_file import (
    cut_damaged_tails,
    has_strange_files,
    set_aside,
    whole_commands,
)
from mlengine.stores.queue.jobs import JobQueue

_SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
_MULTI, _EXEC = b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n"


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b"", 0),
        (_SET, len(_SET)),
        (_SET + bytes(64), len(_SET)),
        (_SET + b"#TS:1\r\n" + _SET[:-1], len(_SET) + 7),
        (_SET + _MULTI + _SET, len(_SET)),
        (_SET + _MULTI + _SET + _EXEC, 2 * len(_SET) + len(_MULTI) + len(_EXEC)),
        (_SET + b"*0\r\n", len(_SET)),
        (_SET + b"*1\r\nSET\r\n", len(_SET)),
        (_SET + b"*1\r\n$9999999999\r\nA\r\n", len(_SET)),
        (bytes(64), 0),
    ],
)
def test_the_end_of_the_last_whole_command_is_found(content: bytes, whole: int) -> None:
    assert whole_commands(content) == whole


def _killed_with_a_job(queue: QueueProcess) -> Path:
    """The file of a server that was killed once a job was in it."""
    JobQueue(lambda: queue.url).enqueue_run("run-on-disk", timeout_seconds=60)
    assert eventually(lambda: is_on_disk(queue.artifacts, "run-on-disk"))
    queue.stop()
    (file,) = (queue.artifacts / "queue" / "appendonlydir").glob("*.incr.aof")
    return file


@pytest.mark.parametrize("tail", [bytes(64), bytes(range(192, 256)), b"*3\r\n$3\r\nSE"])
def test_a_damaged_end_of_its_file_costs_the_queue_nothing_else(tail: bytes) -> None:
    with QueueProcess() as queue:
        file = _killed_with_a_job(queue)
        file.write_bytes(file.read_bytes() + tail)
        queue.start()
        assert JobQueue(lambda: queue.url).has_job("run-on-disk")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("harm", [KINDS["garbage"], _pipe])
def test_a_file_that_is_not_to_be_mended_is_set_aside(harm: Callable[[Path], None]) -> None:
    with QueueProcess() as queue:
        harm(_killed_with_a_job(queue))
        queue.start()
        assert JobQueue(lambda: queue.url).ping()
        assert not JobQueue(lambda: queue.url).has_job("run-on-disk")


def test_the_files_of_a_server_that_is_killed_at_its_start_stay(tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o700)
    with QueueProcess() as queue:
        file = _killed_with_a_job(queue)
        content = file.read_bytes()
        dying = replace(queue.server, binary=replace(queue.server.binary, path=program))
        with pytest.raises(CannotStart, match="was killed at its start"):
            dying.start()
        assert file.read_bytes() == content


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_whose_file_is_damaged_under_it_goes_on_and_starts_again(kind: str) -> None:
    with QueueProcess() as queue:
        jobs = JobQueue(lambda: queue.url)
        jobs.enqueue_run("run-on-disk", timeout_seconds=60)
        folder = queue.artifacts / "queue" / "appendonlydir"
        KINDS[kind](next(iter(folder.glob("*.incr.aof"))))
        jobs.enqueue_run("run-later", timeout_seconds=60)
        assert jobs.has_job("run-later")
        queue.stop()
        queue.start()
        assert JobQueue(lambda: queue.url).ping()


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", ["*.incr.aof", "*.manifest", "*.base.*"])
def test_the_queue_starts_on_any_damage(kind: str, pattern: str) -> None:
    with QueueProcess() as queue:
        folder = _killed_with_a_job(queue).parent
        KINDS[kind](next(iter(folder.glob(pattern))))
        queue.start()
        assert JobQueue(lambda: queue.url).ping()


def test_a_folder_that_is_a_link_or_a_file_is_strange(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    assert not has_strange_files(tmp_path)
    folder.symlink_to(tmp_path / "elsewhere")
    assert has_strange_files(tmp_path)
    folder.unlink()
    folder.write_bytes(_SET)
    assert has_strange_files(tmp_path)


def test_a_file_is_cut_once_and_a_whole_one_never(tmp_path: Path) -> None:
    file = tmp_path / "appendonlydir" / "a.incr.aof"
    file.parent.mkdir()
    file.write_bytes(_SET + bytes(9))
    assert cut_damaged_tails(tmp_path)
    assert not cut_damaged_tails(tmp_path)
    assert file.read_bytes() == _SET


def test_of_the_folders_set_aside_the_newest_is_kept(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "appendonlydir").mkdir()
        (tmp_path / "appendonlydir" / name).write_bytes(b"")
        set_aside(tmp_path)
    (aside,) = tmp_path.iterdir()
    assert [each.name for each in aside.iterdir()] == ["second"]
