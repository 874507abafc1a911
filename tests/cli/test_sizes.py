from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.platforms import make_platform

from mlengine.cli.output import format_size


def sizes(folder: Path, *arguments: str, **environ: str) -> str:
    """What the command says in this folder, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", "sizes", *arguments],
        cwd=folder,
        env={**os.environ, "ARTIFACTS_DIR": str(folder / "artifacts"), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def parts(folder: Path, **environ: str) -> dict[tuple[str, str | None], dict[str, Any]]:
    said = json.loads(sizes(folder, "--json", **environ))
    top = [part["bytes"] for part in said["parts"] if part["within"] is None]
    assert said["total_bytes"] == sum(top)
    return {(part["part"], part["within"]): part for part in said["parts"]}


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_every_byte_below_the_artifacts_belongs_to_a_part(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    make_platform(tmp_path, models=2).control.database.dispose()
    for name, size in {
        "audit-spool/a.jsonl": 10,
        "queue/server.log": 20,
        "queue/appendonlydir/appendonly.aof": 30,
        "models/main/.staging-abc/model.txt": 40,
        "upstream-pause.json": 50,
    }.items():
        (artifacts / name).parent.mkdir(parents=True, exist_ok=True)
        (artifacts / name).write_bytes(bytes(size))
    found = parts(tmp_path)
    assert sum(p["bytes"] for (_, within), p in found.items() if within is None) == bytes_below(
        artifacts
    )
    assert found["audit spool", None]["bytes"] == 10
    assert found["log", "queue"]["bytes"] == 20
    assert found["jobs", "queue"]["bytes"] == 30
    assert found["half-written by run abc", "models"]["bytes"] == 40
    versions = [bytes_below(artifacts / "models/main" / version) for version in ("v1", "v2")]
    assert [found[version, "models"]["bytes"] for version in ("v1", "v2")] == versions
    assert found["references of all versions", "models"]["files"] == 2
    assert found["other files", None]["bytes"] >= 50


def test_the_tables_of_the_database_are_counted_with_their_indexes(tmp_path: Path) -> None:
    make_platform(tmp_path).control.database.dispose()
    found = parts(tmp_path)
    assert found["events", "database"]["rows"] == 1
    pages = [found[table, "audit"]["bytes"] for table in ("predictions", "feature_vectors")]
    assert all(count >= 4096 for count in pages)
    tables = sum(p["bytes"] for (_, within), p in found.items() if within == "database")
    assert 0 < tables <= found["database", None]["bytes"]


def test_an_empty_folder_takes_nothing_and_stays_empty(tmp_path: Path) -> None:
    assert parts(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_database_elsewhere_counts_too_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.db").write_bytes(b"x" * 5000)
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    assert parts(tmp_path, AUDIT_DATABASE_URL=url)["database", None]["bytes"] == 5000
    assert "its file can't be read" in sizes(tmp_path, AUDIT_DATABASE_URL=url)


def test_it_works_beside_a_writer_and_shows_the_log(tmp_path: Path) -> None:
    make_platform(tmp_path).control.database.dispose()
    database = tmp_path / "artifacts" / "audit.db"
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE platform SET id = id")
        lines = sizes(tmp_path).splitlines()
        writer.commit()
        assert "write-ahead log" in "\n".join(lines)
    assert lines[0].split() == ["part", "size", "files", "rows"]
    assert lines[-1].split()[0] == "total"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (4_200_000, "4.2 MB"),
        (78_640_000_000, "78.6 GB"),
    ],
)
def test_a_size_is_shown_in_a_unit_that_fits(count: int, text: str) -> None:
    assert format_size(count) == text


def test_room_that_a_file_has_not_written_to_is_not_counted(tmp_path: Path) -> None:
    counters = tmp_path / "artifacts" / "metrics" / "host"
    counters.mkdir(parents=True)
    with (counters / "1-a.counts").open("wb") as file:
        file.write(bytes(1000))
        file.truncate(8_000_000)
    assert parts(tmp_path)["other files", None]["bytes"] < 100_000
