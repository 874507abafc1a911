from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pytest
from tests.platforms import NOW, make_engine
from tests.published import publish

from mlengine.bootstrap import Engine
from mlengine.core.manifest import SCHEMA_VERSION
from mlengine.errors import ArtifactCorrupt, AuditUnavailable, ModelNotFound
from mlengine.stores.versions import REMOVED

CANONICAL = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """v5 active, v4 before it."""
    engine = make_engine(tmp_path, models=5)
    for version in ("v4", "v5"):
        engine.models.activate(version, actor="ann", reason="", now=NOW)
    return engine


def prune(engine: Engine, keep: int = 1, **how: bool) -> dict[str, str | None]:
    asked = {"force": False, "dry_run": False, **how}
    found = engine.registry.prune(keep=keep, actor="ann", now=NOW, **asked)
    return {fate.version: fate.kept_as for fate in found}


def predict(engine: Engine, version: str) -> None:
    engine.predict.one("AAA", as_of=None, version=version, explain=False, request_id="r", now=NOW)


def history(engine: Engine, kind: str) -> list[tuple[str | None, str | None]]:
    return [(event.version, event.actor) for event in engine.events.page(kind, 99, None).rows]


def test_pruning_keeps_what_is_served_went_before_is_pinned_newest_or_audited(
    engine: Engine,
) -> None:
    publish(engine.models.registry.directory, run_id="run6")
    engine.registry.pin("v1", actor="ann", reason="the first", now=NOW)
    predict(engine, "v2")
    assert prune(engine) == {
        "v1": "pinned",
        "v2": "audited",
        "v3": None,
        "v4": "previous",
        "v5": "active",
        "v6": "newest",
    }
    assert engine.models.registry.versions() == ["v1", "v2", "v4", "v5", "v6"]
    assert history(engine, "pruned") == [("v3", "ann")]


def test_the_newest_are_counted_and_their_numbers_are_not_given_again(engine: Engine) -> None:
    assert prune(engine, keep=3) == {
        "v1": None,
        "v2": None,
        "v3": "newest",
        "v4": "previous",
        "v5": "active",
    }
    assert publish(engine.models.registry.directory, run_id="run6").version == "v6"
    with pytest.raises(ValueError, match="newest"):
        prune(engine, keep=0)


def test_force_removes_audited_versions_and_no_others(engine: Engine) -> None:
    for version in ("v1", "v2", "v4", "v5"):
        predict(engine, version)
    engine.registry.pin("v1", actor="ann", reason="", now=NOW)
    assert prune(engine)["v2"] == "audited"
    assert prune(engine, force=True)["v2"] is None
    assert engine.models.registry.versions() == ["v1", "v4", "v5"]
    forced = engine.events.page("pruned", 9, None).rows[0]
    assert forced.details == {"keep": 1, "forced": True}


def test_a_dry_run_says_the_same_and_changes_nothing(engine: Engine) -> None:
    said = prune(engine, dry_run=True)
    assert history(engine, "pruned") == []
    assert len(engine.models.registry.versions()) == 5
    assert prune(engine) == said


def test_nothing_is_pruned_when_nobody_knows_what_must_stay(engine: Engine, tmp_path: Path) -> None:
    directory = engine.models.registry.directory
    for name in ("PINNED.json", "ACTIVE"):
        (directory / name).write_text("{")
        with pytest.raises(ArtifactCorrupt, match=name):
            prune(engine)
        (directory / name).unlink()
    (tmp_path / "artifacts" / "audit.db").write_bytes(b"no database")
    engine.runs.runs.engine.dispose()
    with pytest.raises(AuditUnavailable):
        prune(engine)
    assert len(engine.models.registry.versions()) == 5


def test_what_was_half_removed_is_cleared_away_by_the_next_change(engine: Engine) -> None:
    directory = engine.models.registry.directory
    (directory / "v1").rename(directory / f"{REMOVED}v1")
    (directory / ".ACTIVE.0123456789abcdef").write_text("{")
    engine.registry.pin("v2", actor="ann", reason="", now=NOW)
    assert {path.name for path in directory.glob(".*")} == {".lock"}


def test_an_empty_registry_has_nothing_to_prune_or_pin(tmp_path: Path) -> None:
    empty = make_engine(tmp_path, models=0)
    assert prune(empty) == {}
    for change in (
        empty.models.registry.unpin,
        lambda v: empty.registry.unpin(v, actor="", now=NOW),
    ):
        with pytest.raises(ModelNotFound):
            change("v1")
    assert empty.registry.verify().intact


def test_a_pin_is_shown_kept_and_taken_back(engine: Engine) -> None:
    engine.registry.pin("v2", actor="ann", reason="a paper cites it", now=NOW)
    assert [m.version for m in engine.models.list().models if m.pinned] == ["v2"]
    assert engine.models.registry.pins.read()["v2"].reason == "a paper cites it"
    assert prune(engine)["v2"] == "pinned"
    assert engine.registry.unpin("v2", actor="bob", now=NOW)
    assert not engine.registry.unpin("v2", actor="bob", now=NOW)
    assert not any(m.pinned for m in engine.models.list().models)
    assert (history(engine, "pinned"), history(engine, "unpinned")) == (
        [("v2", "ann")],
        [("v2", "bob")],
    )
    with pytest.raises(ModelNotFound):
        engine.registry.pin("v9", actor="ann", reason="", now=NOW)


def test_damaged_pins_are_named_and_the_list_goes_on(engine: Engine) -> None:
    for content in (b"[]", b"{", b'{"v1": {"actor": "ann"}}'):
        engine.models.registry.pins.path.write_bytes(content)
        assert not any(m.pinned for m in engine.models.list().models)
        found = engine.registry.verify()
        assert found.problems == ("PINNED.json is damaged: it can't be read",)
        with pytest.raises(ArtifactCorrupt, match=r"PINNED\.json"):
            engine.registry.pin("v1", actor="ann", reason="", now=NOW)


def test_verify_names_what_differs(engine: Engine) -> None:
    path = engine.models.registry.directory / "v3" / "reference.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    found = engine.registry.verify()
    assert [v.intact for v in found.versions] == [True, True, False, True, True]
    assert found.versions[2].reason == "reference.parquet differs from its digest"
    assert not found.intact
    assert engine.registry.verify("v1").intact
    with pytest.raises(ModelNotFound):
        engine.registry.verify("v9")


def test_verify_names_what_stands_beside_the_versions(engine: Engine, tmp_path: Path) -> None:
    directory = engine.models.registry.directory
    engine.registry.pin("v1", actor="ann", reason="", now=NOW)
    for version in ("v1", "v5"):
        (directory / version).rename(tmp_path / version)
    found = engine.registry.verify()
    assert found.problems == (
        "ACTIVE names v5, which is not there",
        "PINNED.json names v1, which is not there",
    )
    assert not found.intact
    (directory / "ACTIVE").write_text("v5")
    assert engine.registry.verify().problems[0] == "ACTIVE is damaged: it can't be read"


def test_folders_of_runs_that_are_no_more_are_orphans(engine: Engine, tmp_path: Path) -> None:
    engine.runs.runs.claim("live", spec="{}", actor="ann", request_id=None, now=NOW)
    for run_id in ("live", "dead"):
        (engine.models.registry.directory / f".staging-{run_id}").mkdir()
    found = engine.registry.verify()
    assert (found.orphans, found.intact) == (("dead",), True)
    (tmp_path / "artifacts" / "audit.db").write_bytes(b"no database")
    engine.runs.runs.engine.dispose()
    assert engine.registry.verify().orphans is None


def test_a_manifest_of_an_older_platform_is_refused_for_that_reason(engine: Engine) -> None:
    path = engine.models.registry.directory / "v1" / "manifest.json"
    whole = path.read_bytes()
    path.write_bytes(of_schema(whole, 1))
    (verdict,) = engine.registry.verify("v1").versions
    reason = f"its manifest has schema version 1, here it is {SCHEMA_VERSION}; train again"
    assert verdict.reason == reason
    here = b'"schema_version": %d' % SCHEMA_VERSION
    path.write_bytes(whole.replace(here, b'"schema_version": 1'))
    (verdict,) = engine.registry.verify("v1").versions
    assert verdict.reason == "manifest.json is not what was published"


def of_schema(manifest: bytes, schema_version: int) -> bytes:
    """What a platform of that schema would have written, with fewer fields."""
    said = {**orjson.loads(manifest), "schema_version": schema_version, "manifest_sha256": ""}
    del said["verdict"]
    digest = hashlib.sha256(orjson.dumps(said, option=CANONICAL)).hexdigest()
    return orjson.dumps({**said, "manifest_sha256": digest}, option=CANONICAL)
