from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pytest
from tests.platforms import NOW, make_platform
from tests.published import publish

from mlengine.bootstrap.platform import Platform
from mlengine.core.versions.manifest import SCHEMA_VERSION
from mlengine.errors import ArtifactCorrupt, DatabaseUnavailable, ModelNotFound
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.registry.folders import REMOVED
from mlengine.stores.runs.rows import NewRun

CANONICAL = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """v5 active, v4 before it."""
    platform = make_platform(tmp_path, models=5)
    for version in ("v4", "v5"):
        platform.models.activate(version, actor="ann", reason="", now=NOW)
    return platform


def prune(platform: Platform, keep: int = 1, **how: bool) -> dict[str, str | None]:
    asked = {"force": False, "dry_run": False, **how}
    found = platform.maintenance.prune(keep=keep, actor="ann", now=NOW, **asked)
    return {fate.version: fate.kept_as for fate in found}


def predict(platform: Platform, version: str) -> None:
    platform.predict.predict(
        "AAA",
        PredictionRequest(version=version, request_id="r", now=NOW),
    )


def history(platform: Platform, kind: str) -> list[tuple[str | None, str | None]]:
    return [
        (event.version, event.actor) for event in platform.control.events.page(kind, 99, None).rows
    ]


def test_pruning_keeps_what_is_served_went_before_is_pinned_newest_or_audited(
    platform: Platform,
) -> None:
    publish(platform.registry.directory, run_id="run6")
    platform.maintenance.pin("v1", actor="ann", reason="the first", now=NOW)
    predict(platform, "v2")
    assert prune(platform) == {
        "v1": "pinned",
        "v2": "audited",
        "v3": None,
        "v4": "previous",
        "v5": "active",
        "v6": "newest",
    }
    assert platform.registry.versions() == ["v1", "v2", "v4", "v5", "v6"]
    assert history(platform, "pruned") == [("v3", "ann")]


def test_the_newest_are_counted_and_their_numbers_are_not_given_again(platform: Platform) -> None:
    assert prune(platform, keep=3) == {
        "v1": None,
        "v2": None,
        "v3": "newest",
        "v4": "previous",
        "v5": "active",
    }
    assert publish(platform.registry.directory, run_id="run6").version == "v6"
    with pytest.raises(ValueError, match="newest"):
        prune(platform, keep=0)


def test_force_removes_audited_versions_and_no_others(platform: Platform) -> None:
    for version in ("v1", "v2", "v4", "v5"):
        predict(platform, version)
    platform.maintenance.pin("v1", actor="ann", reason="", now=NOW)
    assert prune(platform)["v2"] == "audited"
    assert prune(platform, force=True)["v2"] is None
    assert platform.registry.versions() == ["v1", "v4", "v5"]
    forced = platform.control.events.page("pruned", 9, None).rows[0]
    assert forced.details == {"keep": 1, "forced": True}


def test_a_dry_run_says_the_same_and_changes_nothing(platform: Platform) -> None:
    said = prune(platform, dry_run=True)
    assert history(platform, "pruned") == []
    assert len(platform.registry.versions()) == 5
    assert prune(platform) == said


def test_nothing_is_pruned_when_nobody_knows_what_must_stay(
    platform: Platform, tmp_path: Path
) -> None:
    directory = platform.registry.directory
    for name in ("PINNED.json", "ACTIVE"):
        (directory / name).write_text("{")
        with pytest.raises(ArtifactCorrupt, match=name):
            prune(platform)
        (directory / name).unlink()
    (tmp_path / "artifacts" / "audit.db").write_bytes(b"no database")
    platform.control.database.dispose()
    with pytest.raises(DatabaseUnavailable):
        prune(platform)
    assert len(platform.registry.versions()) == 5


def test_what_was_half_removed_is_cleared_away_by_the_next_change(platform: Platform) -> None:
    directory = platform.registry.directory
    (directory / "v1").rename(directory / f"{REMOVED}v1")
    (directory / ".ACTIVE.0123456789abcdef").write_text("{")
    platform.maintenance.pin("v2", actor="ann", reason="", now=NOW)
    assert {path.name for path in directory.glob(".*")} == {".lock"}


def test_an_empty_registry_has_nothing_to_prune_or_pin(tmp_path: Path) -> None:
    empty = make_platform(tmp_path, models=0)
    assert prune(empty) == {}
    for change in (
        empty.registry.unpin,
        lambda v: empty.maintenance.unpin(v, actor="", now=NOW),
    ):
        with pytest.raises(ModelNotFound):
            change("v1")
    assert empty.maintenance.verify().intact


def test_a_pin_is_shown_kept_and_taken_back(platform: Platform) -> None:
    platform.maintenance.pin("v2", actor="ann", reason="a paper cites it", now=NOW)
    assert [m.version for m in platform.models.list().models if m.pinned] == ["v2"]
    assert platform.registry.pins.read()["v2"].reason == "a paper cites it"
    assert prune(platform)["v2"] == "pinned"
    assert platform.maintenance.unpin("v2", actor="bob", now=NOW)
    assert not platform.maintenance.unpin("v2", actor="bob", now=NOW)
    assert not any(m.pinned for m in platform.models.list().models)
    assert (history(platform, "pinned"), history(platform, "unpinned")) == (
        [("v2", "ann")],
        [("v2", "bob")],
    )
    with pytest.raises(ModelNotFound):
        platform.maintenance.pin("v9", actor="ann", reason="", now=NOW)


def test_damaged_pins_are_named_and_the_list_goes_on(platform: Platform) -> None:
    for content in (b"[]", b"{", b'{"v1": {"actor": "ann"}}'):
        platform.registry.pins.path.write_bytes(content)
        assert not any(m.pinned for m in platform.models.list().models)
        found = platform.maintenance.verify()
        assert found.problems == ("PINNED.json is damaged: it can't be read",)
        with pytest.raises(ArtifactCorrupt, match=r"PINNED\.json"):
            platform.maintenance.pin("v1", actor="ann", reason="", now=NOW)


def test_verify_names_what_differs(platform: Platform) -> None:
    path = platform.registry.directory / "v3" / "reference.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    found = platform.maintenance.verify()
    assert [v.intact for v in found.versions] == [True, True, False, True, True]
    assert found.versions[2].reason == "reference.parquet differs from its digest"
    assert not found.intact
    assert platform.maintenance.verify("v1").intact
    with pytest.raises(ModelNotFound):
        platform.maintenance.verify("v9")


def test_verify_names_what_stands_beside_the_versions(platform: Platform, tmp_path: Path) -> None:
    directory = platform.registry.directory
    platform.maintenance.pin("v1", actor="ann", reason="", now=NOW)
    for version in ("v1", "v5"):
        (directory / version).rename(tmp_path / version)
    found = platform.maintenance.verify()
    assert found.problems == (
        "ACTIVE names v5, which is not there",
        "PINNED.json names v1, which is not there",
    )
    assert not found.intact
    (directory / "ACTIVE").write_text("v5")
    assert platform.maintenance.verify().problems[0] == "ACTIVE is damaged: it can't be read"


def test_folders_of_runs_that_are_no_more_are_orphans(platform: Platform, tmp_path: Path) -> None:
    platform.control.run_store.create(
        NewRun(run_id="live", spec="{}", actor="ann", request_id=None), now=NOW
    )
    for run_id in ("live", "dead"):
        (platform.registry.directory / f".staging-{run_id}").mkdir()
    found = platform.maintenance.verify()
    assert (found.orphans, found.intact) == (("dead",), True)
    (tmp_path / "artifacts" / "audit.db").write_bytes(b"no database")
    platform.control.database.dispose()
    assert platform.maintenance.verify().orphans is None


def test_a_manifest_of_a_newer_platform_is_refused_for_that_reason(platform: Platform) -> None:
    path = platform.registry.directory / "v1" / "manifest.json"
    whole = path.read_bytes()
    path.write_bytes(of_schema(whole, 3))
    (verdict,) = platform.maintenance.verify("v1").versions
    assert verdict.reason == (
        f"its manifest has schema version 3, here it is {SCHEMA_VERSION}; a newer mlengine reads it"
    )
    here = b'"schema_version": %d' % SCHEMA_VERSION
    path.write_bytes(whole.replace(here, b'"schema_version": 1'))
    (verdict,) = platform.maintenance.verify("v1").versions
    assert verdict.reason == "manifest.json is not what was published"


def of_schema(manifest: bytes, schema_version: int) -> bytes:
    """What a platform of that schema would have written, with other fields."""
    said = {**orjson.loads(manifest), "schema_version": schema_version, "manifest_sha256": ""}
    del said["verdict"]
    digest = hashlib.sha256(orjson.dumps(said, option=CANONICAL)).hexdigest()
    return orjson.dumps({**said, "manifest_sha256": digest}, option=CANONICAL)
