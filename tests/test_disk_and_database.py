"""The real server while its database is locked, taken away, or on a disk that is full."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.databases import new_database, opened
from tests.patience import eventually
from tests.platforms import SYMBOLS, make_platform
from tests.serving import Answer, Load, Server, lasts, load, serving
from tests.supervised import free_port

from mlengine import config
from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.sqlite.log_file import log_bytes
from mlengine.stores.database.write_probe import WriteProbe

PATHS = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]
READY = PATHS[0]


def _stored(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "artifacts" / "audit.db")) as connection:
        try:
            rows = connection.execute("SELECT prediction_id FROM predictions").fetchall()
        except sqlite3.Error:  # the file is new and empty
            rows = []
    return {row[0] for row in rows}


def _spooled(folder: Path) -> set[str]:
    return {
        row["columns"]["prediction_id"]
        for path in (folder / "artifacts").glob("audit-spool/*")
        for line in path.read_bytes().splitlines()
        for row in json.loads(line)
    }


def _answered(answers: list[Answer], *, since: float = 0.0) -> set[str]:
    """Those that were asked for since then and answered, also as unusable or refused."""
    asked = [each for each in answers if each.begun >= since]
    return {each.body["prediction_id"] for each in asked if each.status == 200}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "artifacts" / "audit.db", timeout=30)) as holder:
        holder.isolation_level = None
        holder.execute("BEGIN IMMEDIATE")
        yield


def _lock(folder: Path, seconds: float, *, askers: int, **environ: str) -> tuple[float, float]:
    """How long the slowest answer took, in the same time before the lock and while it was held."""
    make_platform(folder)
    with (
        serving(folder, ready=READY, **environ) as server,
        load(server.port, PATHS, askers=askers) as traffic,
    ):
        lasts(10, lambda: len(traffic.answers) > 20)
        _opened_by_all_workers(server, folder)
        unlocked = time.monotonic()
        lasts(seconds)
        with _locked(folder):
            begun = time.monotonic()
            lasts(seconds)
        ended = time.monotonic()
        lasts(20, lambda: not (folder / "artifacts" / "audit-spool").exists())
    assert traffic.failed == []
    assert _answered(traffic.answers) <= _stored(folder) | _spooled(folder)
    return _slowest(traffic, unlocked, begun), _slowest(traffic, begun, ended)


def _slowest(traffic: Load, since: float, until: float) -> float:
    return max(
        each.ended - each.begun
        for each in traffic.answers
        if since <= each.begun and each.ended <= until
    )


def _opened_by_all_workers(server: Server, folder: Path) -> None:
    """Wait until each has the database's file open: one that opens another is none the wiser."""
    file = str(folder / "artifacts" / "audit.db")

    def has_opened(worker: int) -> bool:
        with suppress(OSError):
            return file in {os.readlink(link) for link in Path(f"/proc/{worker}/fd").iterdir()}
        return False

    assert eventually(lambda: all(map(has_opened, server.workers())), seconds=60)


def test_a_locked_database_costs_no_answer_and_no_row(tmp_path: Path) -> None:
    before, during = _lock(tmp_path, 1.5, askers=2, WEB_WORKERS="1")
    assert during < max(1.0, before + 0.5)  # a busy machine is given twice


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [5, 12, 60])
def test_each_answer_comes_within_half_a_second_of_a_lock(tmp_path: Path, seconds: int) -> None:
    before, during = _lock(tmp_path, seconds, askers=4)
    sys.stdout.write(
        f"locked {seconds} s: slowest answer {during:.3f} s, {before:.3f} s before the lock\n"
    )
    assert during < max(0.5, before + 0.3)  # a busy machine is slow without a lock, too


def _replace(database: Path) -> None:
    copy = database.with_suffix(".copy")
    shutil.copy(database, copy)
    copy.replace(database)


HARM: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "replaced": _replace,
    "truncated": lambda database: os.truncate(database, 0),
    "cut_short": lambda database: os.truncate(database, database.stat().st_size // 2),
}


def _harmed_under_load(folder: Path, harm: str, *, answers: int) -> int:
    """How many rows were answered after the harm; every one of them is on disk, and said so."""
    make_platform(folder)
    with serving(folder, ready=READY) as server, load(server.port, PATHS, askers=4) as traffic:
        lasts(10, lambda: len(traffic.answers) > 50)
        _opened_by_all_workers(server, folder)
        HARM[harm](folder / "artifacts" / "audit.db")
        at = time.monotonic()
        count = len(traffic.answers) + answers
        lasts(60, lambda: len(traffic.answers) > count)
        assert server.ask("/ready").status == 503
        assert server.ask("/health").status == 200
    assert traffic.failed == []
    after = _answered(traffic.answers, since=at)
    assert after <= _stored(folder) | _spooled(folder)
    return len(after)


def test_a_database_that_is_deleted_loses_no_row_that_is_answered_later(tmp_path: Path) -> None:
    assert _harmed_under_load(tmp_path, "deleted", answers=20)


@pytest.mark.soak
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("trial", range(5))
def test_a_database_that_is_taken_away_loses_no_row_in_five_trials(
    tmp_path: Path, harm: str, trial: int
) -> None:
    count = _harmed_under_load(tmp_path, harm, answers=1_000)
    sys.stdout.write(f"{harm}, trial {trial}: {count} rows answered after it, 0 lost" + "\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many megabytes; only root may."""
    mounted: list[Path] = []

    def mount(megabytes: int) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill_by_predicting(folder: Path, *, most: int, seconds: float) -> None:
    make_platform(folder)
    with serving(folder, ready=READY) as server, load(server.port, PATHS, askers=4) as traffic:
        lasts(seconds, lambda: len(traffic.answers) >= most or bool(traffic.failed))
        if traffic.failed:
            assert server.ask("/ready").status == 503
        assert server.ask("/health").status == 200
    assert {each.status for each in traffic.failed} <= {503}
    answered = _answered(traffic.answers)
    size = log_bytes(str(folder / "artifacts" / "audit.db"))
    sys.stdout.write(
        f"{len(answered)} answered, {len(traffic.failed)} refused, log after the stop {size}" + "\n"
    )
    assert size <= 10_000_000
    assert answered <= _stored(folder) | _spooled(folder)


def test_a_full_disk_takes_no_row_of_the_probe(small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(2)
    with opened(new_database(folder / "audit.db")) as engine:
        WriteProbe().write(engine)
        filler = folder / "filler"
        filler.write_bytes(b"x" * shutil.disk_usage(folder).free)
        with pytest.raises(DatabaseUnavailable, match="disk is full"):
            WriteProbe().write(engine)
        filler.unlink()
        WriteProbe().write(engine)


@pytest.mark.soak
def test_a_disk_that_fills_up_loses_no_row_and_is_told(
    small_disk: Callable[[int], Path],
) -> None:
    folder = small_disk(6)
    make_platform(folder)
    filler = folder / "filler"
    with serving(folder, ready=READY) as server:
        with load(server.port, PATHS, askers=2) as traffic:
            lasts(10, lambda: len(traffic.answers) > 20)
            with suppress(OSError):
                filler.write_bytes(b"x" * shutil.disk_usage(folder).total)
            lasts(10, lambda: len(traffic.failed) > 3)
        assert server.ask("/ready").status == 503
        filler.unlink()
        lasts(10, lambda: server.ask("/ready").status == 200)
        assert server.ask("/ready").status == 200
        assert server.ask(READY).status == 200
    assert log_bytes(str(folder / "artifacts" / "audit.db")) == 0
    assert {each.status for each in traffic.failed} == {503}
    assert _answered(traffic.answers) <= _stored(folder) | _spooled(folder)


@pytest.mark.parametrize("command", ["up", "web", "worker", "train", "migrate"])
def test_a_start_on_a_full_disk_is_one_line(
    small_disk: Callable[[int], Path], command: str
) -> None:
    folder = small_disk(4)
    make_platform(folder).control.database.dispose()
    with suppress(OSError):
        (folder / "filler").write_bytes(b"x" * shutil.disk_usage(folder).total)
    done = _command(folder, command)
    assert done.returncode == 1
    assert done.stderr.startswith("mlengine: the disk of the artifacts folder ")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "web",
        pytest.param("worker", marks=pytest.mark.soak),
        pytest.param("migrate", marks=pytest.mark.soak),
        pytest.param("db upgrade", marks=pytest.mark.soak),
    ],
)
def test_a_start_on_a_newer_database_is_one_line(tmp_path: Path, command: str) -> None:
    make_platform(tmp_path).control.database.dispose()
    with closing(sqlite3.connect(tmp_path / "artifacts" / "audit.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    done = _command(tmp_path, command)
    assert done.returncode == 1
    assert "the database is of a newer mlengine (schema 9999" in done.stderr
    assert "mlengine db backup" in done.stderr
    assert done.stderr.count("\n") == 1


def _command(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """`mlengine COMMAND` on the platform in `folder`, which doesn't start."""
    settings = {
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "MARKET_DATA_DIR": str(folder / "bars"),
        "PORT": str(free_port()),
        "FLASK_SKIP_DOTENV": "1",
        "LOG_LEVEL": "ERROR",
    }
    return subprocess.run(
        [sys.executable, "-m", "mlengine", *command.split()],
        cwd=folder,
        env=config.environment_for_child(settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.soak
def test_a_disk_of_forty_megabytes_takes_what_it_can(small_disk: Callable[[int], Path]) -> None:
    _fill_by_predicting(small_disk(40), most=100_000, seconds=600)
