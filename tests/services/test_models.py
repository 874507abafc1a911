from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.platforms import NOW, make_engine
from tests.published import publish

from mlengine.bootstrap import Engine
from mlengine.core.manifest import FeatureSetEntry
from mlengine.errors import (
    ArtifactCorrupt,
    FeatureSetMismatch,
    IntervalMismatch,
    ModelNotFound,
    NoActiveModel,
    NoPreviousModel,
)
from mlengine.services.history import reconcile, record_activation
from mlengine.stores.database import open_database
from mlengine.stores.events import EventStore


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return make_engine(tmp_path, models=3)


def damage(engine: Engine, version: str, name: str = "model.txt") -> None:
    path = engine.models.registry.directory / version / name
    path.write_bytes(path.read_bytes()[:-1])


def history(engine: Engine, kind: str) -> list[str | None]:
    page = engine.monitoring.history(kind=kind, limit=100, cursor=None)
    return [event.version for event in page.rows]


def test_the_list_marks_the_active_version_and_the_corrupt_one(engine: Engine) -> None:
    damage(engine, "v2", "manifest.json")
    found = engine.models.list()
    assert found.active_version == "v1"
    assert [(m.version, m.status, m.is_active) for m in found.models] == [
        ("v1", "active", True),
        ("v2", "corrupt", False),
        ("v3", "available", False),
    ]


def test_show_gives_the_manifest_of_any_version(engine: Engine) -> None:
    manifest, is_active = engine.models.show("v2")
    assert (manifest.version, is_active) == ("v2", False)
    with pytest.raises(ModelNotFound):
        engine.models.show("v9")


def test_activation_serves_the_version_at_the_next_request(engine: Engine) -> None:
    assert engine.models.shelf.current().version == "v1"
    done = engine.models.activate("v2", actor="ann", reason="try", now=NOW)
    assert (done.active_version, done.previous_version, done.generation) == ("v2", "v1", 2)
    assert engine.models.shelf.current().version == "v2"
    assert history(engine, "activated") == ["v2", "v1"]


def test_another_process_serves_the_new_version_too(engine: Engine, tmp_path: Path) -> None:
    other = make_engine(tmp_path, models=0)
    assert other.models.shelf.current().version == "v1"
    engine.models.activate("v3", actor="ann", reason="", now=NOW)
    assert other.models.shelf.current().version == "v3"


def test_a_corrupt_version_is_not_activated(engine: Engine) -> None:
    damage(engine, "v2")
    with pytest.raises(ArtifactCorrupt):
        engine.models.activate("v2", actor="ann", reason="", now=NOW)
    assert engine.models.active_version() == "v1"
    assert history(engine, "activated") == ["v1"]


def test_a_model_of_other_bars_or_features_is_not_activated(engine: Engine) -> None:
    directory = engine.models.registry.directory
    publish(directory, interval="1h")
    with pytest.raises(IntervalMismatch):
        engine.models.activate("v4", actor="ann", reason="", now=NOW)
    names = engine.models.registry.manifest("v1").feature_set.features
    publish(directory, entry=FeatureSetEntry("core", 1, "0" * 64, 64, names))
    with pytest.raises(FeatureSetMismatch, match="000000000000"):
        engine.models.activate("v5", actor="ann", reason="", now=NOW)
    publish(directory, entry=FeatureSetEntry("gone", 1, "0" * 64, 64, names))
    with pytest.raises(FeatureSetMismatch, match="serves none"):
        engine.models.activate("v6", actor="ann", reason="", now=NOW)


def test_rollback_returns_to_the_version_before_and_back(engine: Engine) -> None:
    with pytest.raises(NoPreviousModel):
        engine.models.rollback(actor="ann", now=NOW)
    engine.models.activate("v3", actor="ann", reason="", now=NOW)
    assert engine.models.rollback(actor="ann", now=NOW).active_version == "v1"
    assert engine.models.rollback(actor="ann", now=NOW).active_version == "v3"
    assert history(engine, "rolled_back") == ["v3", "v1"]


def test_without_an_active_model_there_is_nothing_to_roll_back_or_reload(tmp_path: Path) -> None:
    empty = make_engine(tmp_path, models=0)
    with pytest.raises(NoActiveModel):
        empty.models.rollback(actor="ann", now=NOW)
    with pytest.raises(NoActiveModel):
        empty.models.reload(actor="ann", now=NOW)
    assert empty.models.list().models == ()


def test_a_model_damaged_on_disk_goes_on_serving_until_it_is_reloaded(engine: Engine) -> None:
    shelf = engine.models.shelf
    serving = shelf.current()
    damage(engine, "v1")
    assert shelf.current() is serving
    with pytest.raises(ArtifactCorrupt):
        engine.models.reload(actor="ann", now=NOW)
    assert shelf.current() is serving, "refused, so the old one stays"
    assert shelf.refused
    assert engine.checks.state("model") == "degraded"

    engine.models.activate("v2", actor="ann", reason="", now=NOW)
    assert shelf.current().version == "v2"
    assert not shelf.refused


def test_a_process_that_never_loaded_the_active_model_says_why(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, models=1)
    damage(engine, "v1")
    fresh = make_engine(tmp_path, models=0)
    for _ in range(2):
        with pytest.raises(ArtifactCorrupt):
            fresh.models.shelf.current()
    assert fresh.models.shelf.loaded_version is None


def test_reload_is_noted_and_reaches_other_processes(engine: Engine, tmp_path: Path) -> None:
    other = make_engine(tmp_path, models=0)
    before = other.models.shelf.current()
    assert engine.models.reload(actor="ann", now=NOW).version == "v1"
    assert other.models.shelf.current() is not before
    assert history(engine, "reloaded") == ["v1"]


def test_a_version_beside_the_active_one_is_kept_in_memory(engine: Engine) -> None:
    for seed in range(4, 8):
        publish(engine.models.registry.directory, seed=seed)
    shelf = engine.models.shelf
    assert shelf.get("v2") is shelf.get("v2")
    first = shelf.get("v3")
    for version in ("v4", "v5", "v6", "v7"):
        shelf.get(version)
    assert shelf.get("v3") is not first, "only a few are kept"
    assert shelf.get("v1") is not None
    with pytest.raises(ModelNotFound):
        shelf.get("v99")


def test_a_model_file_that_is_no_model_is_corrupt(engine: Engine) -> None:
    registry = engine.models.registry
    draft = registry.manifest("v1")
    registry.publish(draft, {"model.txt": b"no trees here"}, fence=lambda: None)
    with pytest.raises(ArtifactCorrupt, match="not a LightGBM model"):
        engine.models.activate("v4", actor="ann", reason="", now=NOW)


def test_an_activation_without_its_event_is_written_at_the_next_start(engine: Engine) -> None:
    engine.models.registry.activate("v2", actor="ann", reason="died after", now=NOW)
    assert reconcile(engine.active, engine.events)
    assert not reconcile(engine.active, engine.events)
    assert history(engine, "activated") == ["v2", "v1"]


def test_a_rollback_without_its_event_is_written_as_a_rollback(engine: Engine) -> None:
    engine.models.registry.activate("v2", actor="x", reason="", now=NOW, kind="rolled_back")
    assert reconcile(engine.active, engine.events)
    assert history(engine, "rolled_back") == ["v2"]


def test_the_next_activation_writes_the_event_of_the_one_before(engine: Engine) -> None:
    engine.models.registry.activate("v2", actor="x", reason="died after", now=NOW)
    engine.models.activate("v3", actor="ann", reason="", now=NOW)
    assert history(engine, "activated") == ["v3", "v2", "v1"]


def test_a_damaged_active_file_is_mended_by_an_activation(engine: Engine) -> None:
    engine.models.activate("v2", actor="ann", reason="", now=NOW)
    (engine.models.registry.directory / "ACTIVE").write_text('{"ver')
    assert not reconcile(engine.active, engine.events)
    assert engine.models.list().active_version is None
    assert engine.models.show("v1")[1] is False

    done = engine.models.activate("v3", actor="ann", reason="mend", now=NOW)

    assert (done.previous_version, done.generation) == (None, 3)
    assert engine.models.shelf.current().version == "v3"
    assert history(engine, "activated") == ["v3", "v2", "v1"]


def test_an_activation_that_can_not_be_recorded_has_happened_all_the_same(
    engine: Engine, tmp_path: Path
) -> None:
    active = engine.models.registry.activate("v2", actor="ann", reason="", now=NOW)
    with locked(tmp_path / "artifacts" / "audit.db"), impatient(engine) as events:
        record_activation(events, active, before="v1")
    assert history(engine, "activated") == ["v1"]
    assert reconcile(engine.active, engine.events)
    assert history(engine, "activated") == ["v2", "v1"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def impatient(engine: Engine) -> Iterator[EventStore]:
    """The same events through a connection that does not wait for others."""
    opened = open_database(engine.database_url, busy_timeout_seconds=0.05)
    yield EventStore(opened)
    opened.dispose()


def test_nothing_to_reconcile_without_an_active_model(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, models=0)
    assert not reconcile(engine.active, engine.events)
