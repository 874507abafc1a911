from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.platforms import NOW, make_platform
from tests.published import publish

from mlengine.bootstrap.platform import Platform
from mlengine.core.versions.manifest import FeatureSetEntry
from mlengine.errors import (
    ArtifactCorrupt,
    FeatureSetMismatch,
    IntervalMismatch,
    ModelNotFound,
    NoActiveModel,
    NoPreviousModel,
)
from mlengine.services.models.event_recording import record_activation, record_missing_activation
from mlengine.stores.database.engine import open_database
from mlengine.stores.database.events import EventStore


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=3)


def damage(platform: Platform, version: str, name: str = "model.txt") -> None:
    path = platform.registry.directory / version / name
    path.write_bytes(path.read_bytes()[:-1])


def history(platform: Platform, kind: str) -> list[str | None]:
    page = platform.monitoring.history(kind=kind, limit=100, cursor=None)
    return [event.version for event in page.rows]


def test_the_list_marks_the_active_version_and_the_corrupt_one(platform: Platform) -> None:
    damage(platform, "v2", "manifest.json")
    found = platform.models.list()
    assert found.active_version == "v1"
    assert [(m.version, m.status, m.is_active) for m in found.models] == [
        ("v1", "active", True),
        ("v2", "corrupt", False),
        ("v3", "available", False),
    ]


def test_show_gives_the_manifest_of_any_version(platform: Platform) -> None:
    manifest, is_active = platform.models.get("v2")
    assert (manifest.version, is_active) == ("v2", False)
    with pytest.raises(ModelNotFound):
        platform.models.get("v9")


def test_activation_serves_the_version_at_the_next_request(platform: Platform) -> None:
    assert platform.loader.active().version == "v1"
    done = platform.models.activate("v2", actor="ann", reason="try", now=NOW)
    assert (done.active_version, done.previous_version, done.generation) == ("v2", "v1", 2)
    assert platform.loader.active().version == "v2"
    assert history(platform, "activated") == ["v2", "v1"]


def test_another_process_serves_the_new_version_too(platform: Platform, tmp_path: Path) -> None:
    other = make_platform(tmp_path, models=0)
    assert other.models.loader.active().version == "v1"
    platform.models.activate("v3", actor="ann", reason="", now=NOW)
    assert other.models.loader.active().version == "v3"


def test_a_corrupt_version_is_not_activated(platform: Platform) -> None:
    damage(platform, "v2")
    with pytest.raises(ArtifactCorrupt):
        platform.models.activate("v2", actor="ann", reason="", now=NOW)
    assert platform.models.active_version() == "v1"
    assert history(platform, "activated") == ["v1"]


def test_a_model_of_other_bars_or_features_is_not_activated(platform: Platform) -> None:
    directory = platform.registry.directory
    publish(directory, interval="1h")
    with pytest.raises(IntervalMismatch):
        platform.models.activate("v4", actor="ann", reason="", now=NOW)
    names = platform.registry.manifest("v1").feature_set.features
    publish(directory, entry=FeatureSetEntry("core", 1, "0" * 64, 64, names))
    with pytest.raises(FeatureSetMismatch, match="000000000000"):
        platform.models.activate("v5", actor="ann", reason="", now=NOW)
    publish(directory, entry=FeatureSetEntry("gone", 1, "0" * 64, 64, names))
    with pytest.raises(FeatureSetMismatch, match="serves none"):
        platform.models.activate("v6", actor="ann", reason="", now=NOW)


def test_rollback_returns_to_the_version_before_and_back(platform: Platform) -> None:
    with pytest.raises(NoPreviousModel):
        platform.models.rollback(actor="ann", now=NOW)
    platform.models.activate("v3", actor="ann", reason="", now=NOW)
    assert platform.models.rollback(actor="ann", now=NOW).active_version == "v1"
    assert platform.models.rollback(actor="ann", now=NOW).active_version == "v3"
    assert history(platform, "rolled_back") == ["v3", "v1"]


def test_without_an_active_model_there_is_nothing_to_roll_back_or_reload(tmp_path: Path) -> None:
    empty = make_platform(tmp_path, models=0)
    with pytest.raises(NoActiveModel):
        empty.models.rollback(actor="ann", now=NOW)
    with pytest.raises(NoActiveModel):
        empty.models.reload(actor="ann", now=NOW)
    assert empty.models.list().models == ()


def test_a_model_damaged_on_disk_goes_on_serving_until_it_is_reloaded(platform: Platform) -> None:
    loader = platform.loader
    serving = loader.active()
    damage(platform, "v1")
    assert loader.active() is serving
    with pytest.raises(ArtifactCorrupt):
        platform.models.reload(actor="ann", now=NOW)
    assert loader.active() is serving, "refused, so the old one stays"
    assert loader.active_failed_to_load
    assert platform.states.state("model") == "degraded"

    platform.models.activate("v2", actor="ann", reason="", now=NOW)
    assert loader.active().version == "v2"
    assert not loader.active_failed_to_load


def test_a_process_that_never_loaded_the_active_model_says_why(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=1)
    damage(platform, "v1")
    fresh = make_platform(tmp_path, models=0)
    for _ in range(2):
        with pytest.raises(ArtifactCorrupt):
            fresh.models.loader.active()
    assert fresh.models.loader.loaded_version is None


def test_reload_is_noted_and_reaches_other_processes(platform: Platform, tmp_path: Path) -> None:
    other = make_platform(tmp_path, models=0)
    before = other.models.loader.active()
    assert platform.models.reload(actor="ann", now=NOW).version == "v1"
    assert other.models.loader.active() is not before
    assert history(platform, "reloaded") == ["v1"]


def test_a_version_beside_the_active_one_is_kept_in_memory(platform: Platform) -> None:
    for seed in range(4, 8):
        publish(platform.registry.directory, seed=seed)
    loader = platform.loader
    assert loader.get("v2") is loader.get("v2")
    first = loader.get("v3")
    for version in ("v4", "v5", "v6", "v7"):
        loader.get(version)
    assert loader.get("v3") is not first, "only a few are kept"
    assert loader.get("v1") is not None
    with pytest.raises(ModelNotFound):
        loader.get("v99")


def test_a_model_file_that_is_no_model_is_corrupt(platform: Platform) -> None:
    registry = platform.models.registry
    draft = registry.manifest("v1")
    registry.publish(draft, {"model.txt": b"no trees here"}, fence=lambda: None)
    with pytest.raises(ArtifactCorrupt, match="not a LightGBM model"):
        platform.models.activate("v4", actor="ann", reason="", now=NOW)


def test_an_activation_without_its_event_is_written_at_the_next_start(platform: Platform) -> None:
    platform.registry.activate("v2", actor="ann", reason="died after", now=NOW)
    assert record_missing_activation(platform.control.active, platform.control.events)
    assert not record_missing_activation(platform.control.active, platform.control.events)
    assert history(platform, "activated") == ["v2", "v1"]


def test_a_rollback_without_its_event_is_written_as_a_rollback(platform: Platform) -> None:
    platform.registry.activate("v2", actor="x", reason="", now=NOW, kind="rolled_back")
    assert record_missing_activation(platform.control.active, platform.control.events)
    assert history(platform, "rolled_back") == ["v2"]


def test_the_next_activation_writes_the_event_of_the_one_before(platform: Platform) -> None:
    platform.registry.activate("v2", actor="x", reason="died after", now=NOW)
    platform.models.activate("v3", actor="ann", reason="", now=NOW)
    assert history(platform, "activated") == ["v3", "v2", "v1"]


def test_a_damaged_active_file_is_mended_by_an_activation(platform: Platform) -> None:
    platform.models.activate("v2", actor="ann", reason="", now=NOW)
    (platform.registry.directory / "ACTIVE").write_text('{"ver')
    assert not record_missing_activation(platform.control.active, platform.control.events)
    assert platform.models.list().active_version is None
    assert platform.models.get("v1")[1] is False

    done = platform.models.activate("v3", actor="ann", reason="mend", now=NOW)

    assert (done.previous_version, done.generation) == (None, 3)
    assert platform.loader.active().version == "v3"
    assert history(platform, "activated") == ["v3", "v2", "v1"]


def test_an_activation_that_can_not_be_recorded_has_happened_all_the_same(
    platform: Platform, tmp_path: Path
) -> None:
    active = platform.registry.activate("v2", actor="ann", reason="", now=NOW)
    with locked(tmp_path / "artifacts" / "audit.db"), impatient(platform) as events:
        record_activation(events, active, before="v1")
    assert history(platform, "activated") == ["v1"]
    assert record_missing_activation(platform.control.active, platform.control.events)
    assert history(platform, "activated") == ["v2", "v1"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def impatient(platform: Platform) -> Iterator[EventStore]:
    """The same events through a connection that does not wait for others."""
    opened = open_database(platform.control.database_url, busy_timeout_seconds=0.05)
    yield EventStore(opened)
    opened.dispose()


def test_nothing_to_reconcile_without_an_active_model(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, models=0)
    assert not record_missing_activation(platform.control.active, platform.control.events)
