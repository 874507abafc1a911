from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from mlengine.core.telemetry.families import HTTP_REQUESTS
from mlengine.stores.system import atomic_files
from mlengine.stores.telemetry import counter_folder
from mlengine.stores.telemetry.counter_file import SUFFIX, CounterFile, read_series
from mlengine.stores.telemetry.counter_folder import CounterFolder
from mlengine.stores.telemetry.counters import SKETCH_CELLS, Counters

KEY = ("http_requests_total", "/predict", "GET", "200")
DURATION = ("http_request_duration_seconds", "/predict", "GET")


def count(counters: Counters, amount: int = 1) -> None:
    counters.count(HTTP_REQUESTS, "/predict", "GET", "200").add(amount)


def total(folder: Path) -> float:
    return CounterFolder(folder).totals().get(KEY, [0.0])[0]


@contextmanager
def counting(folder: Path, count: int) -> Iterator[None]:
    """Another process that counts, and is killed at the end of the block."""
    argv = [sys.executable, "-m", "tests.processes.count_until_killed", str(folder), str(count)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout
        try:
            assert child.stdout.readline() == b"counted\n"
            yield
        finally:
            child.kill()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def test_what_living_and_killed_processes_count_adds_up(tmp_path: Path) -> None:
    mine, folder = Counters(tmp_path), CounterFolder(tmp_path)
    count(mine, 5)
    with counting(tmp_path, 1_000):
        assert total(tmp_path) == 1_005
        folder.add_up_ended()
        assert len(files(tmp_path)) == 2, "both are alive"
    assert total(tmp_path) == 1_005
    for _ in range(2):
        folder.add_up_ended()
        assert total(tmp_path) == 1_005
    assert len(files(tmp_path)) == 1
    cells = folder.totals()[DURATION]
    assert len(cells) == SKETCH_CELLS
    assert (sum(cells[1:]), cells[0]) == (1_000, sum(1.0 + n for n in range(1_000)))
    count(mine)
    assert total(tmp_path) == 1_006


def test_whoever_is_killed_while_adding_up_counts_nothing_twice(tmp_path: Path) -> None:
    with counting(tmp_path, 10):
        pass
    (file,) = files(tmp_path)
    content = file.read_bytes()
    folder = CounterFolder(tmp_path)
    folder.add_up_ended()
    file.write_bytes(content)  # as if it had not been removed yet
    assert total(tmp_path) == 10
    folder.add_up_ended()
    assert (total(tmp_path), files(tmp_path)) == (10, [])


@pytest.mark.parametrize("size", [0, 3, 15, 40, 70])
def test_a_torn_file_counts_what_it_has_whole(tmp_path: Path, size: int) -> None:
    count(Counters(tmp_path))
    (file,) = files(tmp_path)
    assert [key for key, _ in read_series(file.read_bytes())] == [orjson.dumps(KEY)]
    assert list(read_series(file.read_bytes()[:size])) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"series": [[1]], "included": []}'])
def test_damaged_totals_count_nothing(tmp_path: Path, content: bytes) -> None:
    count(Counters(tmp_path))
    (tmp_path / "totals.json").write_bytes(content)
    assert total(tmp_path) == 1


def test_threads_lose_no_count(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    threads = [
        threading.Thread(target=lambda: [count(counters) for _ in range(2_000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(tmp_path) == 8_000


def test_a_folder_that_can_not_be_made_leaves_counters_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    counters = Counters(tmp_path / "file" / "metrics")
    count(counters, 3)
    assert counters.values()[KEY] == (3.0,)
    assert [record.message for record in caplog.records] == ["counters kept in memory"]
    assert CounterFolder(tmp_path / "file" / "metrics").totals() == {}


def test_a_file_that_may_not_grow_leaves_counters_in_memory(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    counters = Counters(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        count(counters)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert counters.values()[KEY] == (1.0,)
    assert os.listdir(tmp_path) == []


def test_machines_that_are_gone_leave_nothing_after_a_month(tmp_path: Path) -> None:
    here, gone, idle = (CounterFolder(tmp_path / name) for name in ("here", "gone", "idle"))
    living = [Counters(folder.path) for folder in (here, idle)]
    for counters in living:
        count(counters)
    with counting(gone.path, 1):
        pass
    gone.add_up_ended()
    then = (gone.path / "totals.json").stat().st_mtime
    here.remove_gone_machines(before=then - 60)
    assert gone.totals()
    here.remove_gone_machines(before=then + 60)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["here", "idle"]
    assert (total(here.path), total(idle.path)) == (1, 1)


def _content_of_one_count(folder: Path) -> bytes:
    count(Counters(folder))
    (file,) = files(folder)
    return file.read_bytes()


def test_while_another_process_adds_up_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "ended.counts").write_bytes(_content_of_one_count(tmp_path / "other"))
    with atomic_files.file_lock(tmp_path / "lock"):
        CounterFolder(tmp_path).add_up_ended()
        assert len(files(tmp_path)) == 1
    CounterFolder(tmp_path).add_up_ended()
    assert (files(tmp_path), total(tmp_path)) == ([], 1)


def test_of_two_layouts_of_a_series_the_longer_one_is_kept(tmp_path: Path) -> None:
    count(Counters(tmp_path))
    document = {"included": [], "series": [[KEY, [5.0, 6.0]]]}
    (tmp_path / "totals.json").write_bytes(orjson.dumps(document))
    assert CounterFolder(tmp_path).totals() == {KEY: [5.0, 6.0]}


def test_a_folder_with_the_name_of_a_file_counts_nothing(tmp_path: Path) -> None:
    count(Counters(tmp_path))
    (tmp_path / "folder.counts").mkdir()
    assert total(tmp_path) == 1


def test_totals_that_change_under_every_look_are_given_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(Counters(tmp_path))
    totals, looks = tmp_path / "totals.json", []

    def changed_meanwhile(content: bytes) -> Iterator[tuple[bytes, tuple[float, ...]]]:
        looks.append(content)
        totals.write_bytes(b'{"included": [], "series": []}')
        os.utime(totals, ns=(len(looks), len(looks)))
        return read_series(content)

    monkeypatch.setattr(counter_folder, "read_series", changed_meanwhile)
    assert total(tmp_path) == 1
    assert len(looks) == 5


def test_a_series_too_many_is_refused(tmp_path: Path) -> None:
    file = CounterFile(tmp_path)
    with pytest.raises(OSError, match="too many series"):
        file.add_series(b"key", 2**20)
    file.add_series(b"key", 1)[0] = 2.0
    assert list(read_series(file.path.read_bytes())) == [(b"key", (2.0,))]


def test_a_series_longer_than_its_file_is_left_out() -> None:
    content = struct.pack("<QQII8s", 1, 32, 3, 100, b"key")
    assert list(read_series(content)) == []
