"""What the audit's tables can't take is answered all the same, and gets there later."""

from __future__ import annotations

import errno
import json
import logging
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from tests.crashing import at_step, each_step
from tests.databases import NOW, answered, failed, new_database, opened, url_of
from tests.processes import spool_killed_at_each_step, spool_with_limited_file_size

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.entries import entry_dict
from mlengine.stores.audit.replay_inputs import ReplayInputStore
from mlengine.stores.audit.spool.lines import SpooledRow
from mlengine.stores.audit.spool.spool import AuditSpool, SpoolCounts
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.engine import reading

ROOT = Path(__file__).parents[4]


@contextmanager
def store_at(url: str, folder: Path) -> Iterator[SpooledAuditStore]:
    with opened(url, busy_timeout_seconds=0.02) as engine:
        yield SpooledAuditStore(engine, spool=AuditSpool(folder / "spool"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return new_database(tmp_path / "audit.db")


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[SpooledAuditStore]:
    with store_at(url, tmp_path) as spooled_store:
        yield spooled_store


@contextmanager
def locked(tmp_path: Path) -> Iterator[None]:
    """Another process writes and does not come to an end."""
    holder = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    with closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        yield


def ids(store: AuditStore) -> list[str]:
    return [row.prediction_id for row in store.recent(limit=1000).rows][::-1]


def count(store: AuditStore) -> int | None:
    with reading(store.engine) as connection:
        return connection.scalar(text("SELECT count(*) FROM predictions"))


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool").iterdir())


def test_a_spooled_row_comes_back_to_the_last_bit(store: SpooledAuditStore, tmp_path: Path) -> None:
    odd = answered(
        1,
        first=-0.0,
        probability_up=float(np.nextafter(0.1, 1.0)),
        base_rate=5e-324,
        confidence=None,
        degraded=True,
    )
    others = [failed(2), failed(3, version=None), answered(4, day=3)]
    with locked(tmp_path):
        for entry in (odd, *others):
            store.append([entry])
        assert ids(store) == []
    store.append([answered(5)])
    assert ids(store) == ["p5", "p1", "p2", "p3", "p4"]

    straight = new_database(tmp_path / "straight.db")
    with store_at(straight, tmp_path / "other") as never_down:
        for entry in (odd, *others):
            never_down.append([entry])
        for number in (1, 2, 3, 4):
            one, other = (ReplayInputStore(s.engine).get(f"p{number}") for s in (store, never_down))
            assert one is not None
            assert other is not None
            assert one.row == other.row
            assert one.vector == other.vector
            assert (one.window is None) == (other.window is None)
            assert one.window is None or one.window.equals(other.window)
    row = store.get("p1")
    assert row is not None
    assert struct.pack("<d", row.probability_up) == struct.pack("<d", np.nextafter(0.1, 1.0))


def test_the_next_append_of_any_process_empties_the_spool(
    store: SpooledAuditStore, url: str, tmp_path: Path
) -> None:
    with locked(tmp_path):
        store.append([answered(1), failed(2), answered(3, symbol="BBB")])
        store.append([answered(4)])
    assert not store.spool.is_empty
    with store_at(url, tmp_path) as other:
        other.append([answered(5)])
        assert ids(other) == ["p5", "p1", "p2", "p3", "p4"]
    assert store.spool.is_empty
    assert not (tmp_path / "spool").exists()
    with locked(tmp_path):
        store.append([answered(6)])
    store.append([answered(7)])
    assert ids(store)[-2:] == ["p7", "p6"], "the folder is made anew"


def test_the_state_is_degraded_while_rows_of_any_process_wait(
    store: SpooledAuditStore, url: str, tmp_path: Path
) -> None:
    with store_at(url, tmp_path) as other:
        assert (store.state(), other.state()) == ("unknown", "unknown")
        other.append([answered(1)])
        with locked(tmp_path):
            store.append([answered(2), answered(3)])
            assert (store.state(), other.state()) == ("degraded", "degraded")
            waiting = other.spool.counts()
            assert (waiting.files, waiting.bytes > 1000) == (1, True)
            assert (store.spool.counts().spooled_rows, waiting.spooled_rows) == (2, 0)
        other.append([answered(4)])
        assert (other.spool.counts(), other.state()) == (SpoolCounts(0, 0, 0), "ok")
        assert store.spool.counts() == SpoolCounts(0, 0, 2), "the counter counts since the start"


def test_what_dies_between_the_tables_and_the_spool_doubles_nothing(
    store: SpooledAuditStore, tmp_path: Path
) -> None:
    with locked(tmp_path):
        store.append([answered(1), failed(2)])
    (path,) = files(tmp_path)
    content = path.read_bytes()
    store.drain()
    path.parent.mkdir()
    path.write_bytes(content)
    store.drain()
    assert ids(store) == ["p1", "p2"]
    assert store.spool.is_empty


def test_a_torn_last_line_was_never_answered_and_goes(
    store: SpooledAuditStore, tmp_path: Path
) -> None:
    with locked(tmp_path):
        store.append([answered(1)])
        store.append([answered(2)])
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    store.drain()
    assert ids(store) == ["p1"]
    assert store.spool.is_empty


@pytest.mark.parametrize(
    "damage",
    [
        b"[{]\n",
        b"{}\n[1]\n",
        b'[{"columns": {"no_such_column": 1}, "vector": null}]\n',
        b'[{"columns": {"prediction_id": "x"}, "vector": null}]\n',
        b'[{"columns": {}, "vector": {"key": {}}}]\n',
        b'[{"columns": {"at": "yesterday"}, "vector": null}]\n',
    ],
)
def test_a_damaged_file_is_set_aside_and_said(
    store: SpooledAuditStore, tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(tmp_path):
        store.append([answered(1)])
    (path,) = files(tmp_path)
    path.with_name(f"0{path.name}").write_bytes(damage)
    with caplog.at_level(logging.ERROR):
        store.drain()
    assert ids(store) == ["p1"], "the other file is none the worse"
    assert [left.suffix for left in files(tmp_path)] == [".damaged"]
    assert "audit spool set aside" in caplog.text
    store.append([answered(2)])
    assert store.state() == "degraded", "until somebody has looked at it"


def test_without_tables_and_without_a_spool_nothing_is_answered(
    store: SpooledAuditStore, tmp_path: Path
) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    with locked(tmp_path), pytest.raises(DatabaseUnavailable, match="nor its spool"):
        store.append([answered(1)])
    assert store.state() == "down"
    assert store.spool.counts().spooled_rows == 0
    store.append([answered(2)])
    assert ids(store) == ["p2"], "a spool that can't be read fails no append that succeeded"
    with pytest.raises(DatabaseUnavailable, match="spool can't be emptied"):
        store.drain()


def test_a_line_that_the_kernel_cuts_short_is_taken_back(url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", spool_with_limited_file_size.__name__, str(tmp_path)],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    refused = "neither it nor its spool can be written: a file may not grow"
    assert done.stdout.count(refused) == 2
    assert done.stdout.endswith("1 file\n"), "one that holds nothing goes at once"
    with store_at(url, tmp_path) as store:
        store.drain()
        assert ids(store) == ["p1", "p3"]
        assert store.spool.is_empty


def test_a_process_killed_while_spooling_loses_no_row_that_was_answered(
    url: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", spool_killed_at_each_step.__name__, str(tmp_path)],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    outcomes = json.loads(done.stdout)
    killed = {f"p{n}" for n, status in enumerate(outcomes, 1) if status == 9}
    answers = {f"p{n}" for n, status in enumerate(outcomes, 1) if status == 0}
    assert (len(killed) > 5, len(answers) > 5) == (True, True)
    with store_at(url, tmp_path) as store:
        store.append([answered(1000)])
        store.drain()
        stored = set(ids(store))
        assert answers <= stored
        assert stored - answers <= killed | {"p1000"}
        assert store.spool.is_empty


def test_a_long_outage_is_caught_up_file_by_file(store: SpooledAuditStore, tmp_path: Path) -> None:
    with locked(tmp_path):
        for number in range(0, 2400, 4):
            store.spool.write([spooled(number + i) for i in range(4)])
    assert len(files(tmp_path)) == 3
    store.append([answered(3001)])
    assert count(store) == 1025
    store.append([answered(3002)])
    store.append([answered(3003)])
    assert count(store) == 2403
    assert store.spool.is_empty


def test_clearing_clears_what_is_spooled_too(store: SpooledAuditStore, tmp_path: Path) -> None:
    with locked(tmp_path):
        store.append([answered(1)])
    assert store.clear(actor="ann", at=NOW) == 1
    store.append([answered(2)])
    assert ids(store) == ["p2"]


def test_one_drains_at_a_time(store: SpooledAuditStore, tmp_path: Path) -> None:
    with locked(tmp_path):
        store.append([answered(1)])

    def nobody_else(_: object) -> None:
        other = AuditSpool(tmp_path / "spool")
        other.drain(lambda _: pytest.fail("two at once"))

    store.spool.drain(nobody_else)
    assert store.spool.is_empty


def test_a_row_of_an_older_platform_has_nulls_for_newer_columns(
    store: SpooledAuditStore, tmp_path: Path
) -> None:
    with locked(tmp_path):
        store.append([answered(1)])
    (path,) = files(tmp_path)
    rows = json.loads(path.read_bytes())
    del rows[0]["columns"]["degraded"]
    path.write_text(json.dumps(rows) + "\n")
    store.drain()
    with reading(store.engine) as connection:
        assert connection.exec_driver_sql("SELECT degraded FROM predictions").scalar() is None


def test_an_empty_append_neither_writes_nor_spools(tmp_path: Path) -> None:
    with store_at(url_of(tmp_path / "nowhere" / "a.db"), tmp_path) as store:
        store.append([])
        assert store.spool.is_empty


def spooled(number: int) -> SpooledRow:
    entry = failed(number)
    return SpooledRow(entry_dict(entry), entry.scored)


def spool_with_refused_fsync(folder: Path, number: int) -> bool:
    """Spool a row while the disk refuses fsync number `number`; whether there was one."""
    refused = []

    def refuse() -> None:
        refused.append(number)
        raise OSError(errno.EIO, "")

    spool = AuditSpool(folder / "spool")
    entry = answered(number)
    with at_step(number, refuse, among=frozenset({"fsync"})):
        try:
            spool.write([SpooledRow(entry_dict(entry), None)])
        except DatabaseUnavailable:
            assert refused
    spool.write([SpooledRow(entry_dict(answered(100 + number)), None)])
    return bool(refused)


def test_no_line_follows_one_that_was_refused_at_any_fsync(tmp_path: Path) -> None:
    """Else its file's name might never be forced to disk."""
    number = 1
    while spool_with_refused_fsync(tmp_path / str(number), number):
        files = list((tmp_path / str(number) / "spool").iterdir())
        lines = [line for path in files for line in path.read_bytes().splitlines()]
        assert len(lines) == 1, "the refused one is gone"
        assert b"p10" in lines[0]
        number += 1
    assert number > 4


def test_the_name_of_a_folder_that_another_process_made_is_forced_to_disk(tmp_path: Path) -> None:
    """It may have been killed between the two."""
    (tmp_path / "spool").mkdir()
    fsyncs: list[str] = []
    with each_step(lambda: fsyncs.append("one"), among=frozenset({"fsync"})):
        AuditSpool(tmp_path / "spool").write([SpooledRow(entry_dict(failed(1)), None)])
    assert len(fsyncs) == 3, "of the file, of its name, and of the folder's name"
