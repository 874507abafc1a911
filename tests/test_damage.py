"""Forty kinds of damage to each file that the platform reads back, live and at a restart."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from flask import Flask
from tests.damage import KINDS, damaged
from tests.databases import answered
from tests.platforms import NOW, make_platform, settings
from tests.serving import serving

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.core.versions.pruning import Pin
from mlengine.errors import ArtifactCorrupt, DatabaseUnavailable, QueueUnavailable
from mlengine.stores.audit.entries import entry_dict
from mlengine.stores.audit.spool.lines import SpooledRow
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.queue.server import resolve_url
from mlengine.stores.registry.registry import Registry

_KEY = {"X-API-Key": "a-test-key-of-thirty-two-letters"}
_REQUESTS = [
    ("GET", "/health", {200}),
    ("GET", "/ready", {200, 503}),
    ("GET", "/models", {200}),
    ("GET", "/models/v1", {200, 503}),
    ("GET", "/predict?symbol=AAA", {200, 503}),
    ("GET", "/predict?symbol=AAA&version=v2", {200, 503}),
    ("POST", "/admin/activate/v1", {200, 503}),
    ("POST", "/admin/rollback", {200, 404, 503}),
    ("POST", "/admin/reload", {200, 503}),
    ("POST", "/admin/train", {409, 503}),
    ("GET", "/monitoring/history", {200, 503}),
]
_SERVER = '{"url": "unix:///tmp/none/queue.sock", "pid": 1, "kind": "valkey", "version": "9.1.2"}'


def _spool(artifacts: Path) -> Path:
    entry = answered(1)
    AuditSpool(artifacts / "audit-spool").write([SpooledRow(entry_dict(entry), entry.scored)])
    return next((artifacts / "audit-spool").iterdir())


def _database(artifacts: Path) -> Path:
    with closing(sqlite3.connect(artifacts / "audit.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return artifacts / "audit.db"


FILES: dict[str, Callable[[Path], Path]] = {
    "ACTIVE": lambda artifacts: artifacts / "models/main/ACTIVE",
    "PINNED": lambda artifacts: artifacts / "models/main/PINNED.json",
    "manifest": lambda artifacts: artifacts / "models/main/v1/manifest.json",
    "model": lambda artifacts: artifacts / "models/main/v1/model.txt",
    "server": lambda artifacts: artifacts / "queue/server.json",
    "spool": _spool,
    "database": _database,
}


@pytest.fixture
def artifacts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Path]:
    """Of a platform with two versions, a pin, a queue server that is gone, and few rows.

    At the end of the test no line that it logged may have had a traceback.
    """
    caplog.set_level(logging.ERROR)
    platform = make_platform(tmp_path, models=2)
    platform.registry.pin("v1", Pin("x", NOW, "good"))
    folder = tmp_path / "artifacts"
    (folder / "queue").mkdir()
    (folder / "queue" / "server.json").write_text(_SERVER)
    yield folder
    assert [line.getMessage() for line in caplog.records if line.exc_info] == []


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Platform, Flask]]:
    configured = settings(folder)
    platform = build_platform(configured)
    try:
        yield platform, create_app(configured, platform)
    finally:
        platform.control.database.dispose()


def _undefined_answers(app: Flask) -> list[str]:
    answers = [
        (method, path, expected, app.test_client().open(path, method=method, headers=_KEY))
        for method, path, expected in _REQUESTS
    ]
    return [
        f"{method} {path}: {answer.status_code} {answer.get_data(as_text=True)[:200]}"
        for method, path, expected, answer in answers
        if answer.status_code not in expected
    ]


def _whole(artifacts: Path) -> None:
    """Both versions are there and are what was published, and one serves."""
    with _running(artifacts.parent) as (platform, app):
        assert platform.registry.versions() == ["v1", "v2"]
        assert all(check.intact for check in platform.maintenance.verify().versions)
        assert app.test_client().get("/predict?symbol=AAA").status_code == 200


def _live(artifacts: Path, file: str, kinds: Sequence[str]) -> list[str]:
    wrong = []
    for kind in kinds:
        with _running(artifacts.parent) as (platform, app):
            app.test_client().get("/predict?symbol=AAA")
            if file == "database":
                platform.control.database.dispose()
            with damaged(FILES[file](artifacts), kind):
                wrong += [f"{kind}: {line}" for line in _undefined_answers(app)]
                platform.control.database.dispose()
    return wrong


def _restarted(artifacts: Path, file: str, kinds: Sequence[str]) -> list[str]:
    wrong = []
    for kind in kinds:
        path = FILES[file](artifacts)
        with damaged(path, kind), _running(artifacts.parent) as (platform, app):
            try:
                platform.control.migrate_and_backfill()
            except DatabaseUnavailable:  # one line, and the platform does not start
                assert file == "database"
                continue
            wrong += [f"{kind}: {line}" for line in _undefined_answers(app)]
            platform.control.database.dispose()
    return wrong


def _read(artifacts: Path, file: str) -> None:
    """Read the file as whoever needs it does."""
    registry = Registry(artifacts / "models/main")
    if file == "ACTIVE":
        registry.active.read()
    elif file == "PINNED":
        registry.pins.read()
    elif file in ("manifest", "model"):
        registry.load("v1", "model.txt")
    elif file == "server":
        resolve_url(None, artifacts)
    else:
        AuditSpool(artifacts / "audit-spool").drain(lambda _: None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_is_refused_in_words(artifacts: Path, kind: str) -> None:
    for file, find in FILES.items():
        if file != "database":
            with damaged(find(artifacts), kind), suppress(ArtifactCorrupt, QueueUnavailable):
                _read(artifacts, file)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_lies_is_a_defined_answer_live(artifacts: Path, file: str) -> None:
    assert _live(artifacts, file, [*KINDS][3::20]) == []
    _whole(artifacts)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_lies_is_a_defined_answer_after_a_restart(artifacts: Path, file: str) -> None:
    assert _restarted(artifacts, file, [*KINDS][5::40]) == []
    _whole(artifacts)


@pytest.mark.soak
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("when", [_live, _restarted])
def test_forty_kinds_of_damage_are_defined_answers(
    artifacts: Path, file: str, when: Callable[[Path, str, Sequence[str]], list[str]]
) -> None:
    assert len(KINDS) >= 40
    assert when(artifacts, file, [*KINDS]) == []
    _whole(artifacts)


def test_a_server_starts_where_every_file_lies_and_says_why(
    artifacts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for file, kind in (
        ("ACTIVE", "a_pipe"),
        ("PINNED", "an_endless_device"),
        ("manifest", "too_deep"),
        ("server", "every_value_a_list"),
        ("spool", "garbage"),
    ):
        KINDS[kind](FILES[file](artifacts))
    with serving(tmp_path, ready="/models", WEB_WORKERS="1") as server:
        refusal = server.ask("/predict?symbol=AAA")
        assert (refusal.status, refusal.body["code"]) == (503, "artifact_corrupt")
        assert "ACTIVE" in refusal.body["detail"]
        assert server.ask("/health").body["model"]["loaded_version"] is None
    assert "Traceback" not in capfd.readouterr().err
