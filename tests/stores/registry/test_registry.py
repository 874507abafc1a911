from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.processes import die_while_publishing
from tests.published import draft

from mlengine.errors import ArtifactCorrupt, LeaseLost, ModelNotFound, NoActiveModel
from mlengine.stores.registry.folders import remove_staged, staged_run_ids
from mlengine.stores.registry.registry import Registry

NOW = datetime(2022, 3, 4, 5, 6, 7, tzinfo=UTC)
FILES: Mapping[str, bytes] = {"model.txt": b"tree\n", "reference.parquet": b"\x00\x01"}


def put(registry: Registry, run_id: str = "run") -> str:
    return registry.publish(draft(run_id=run_id), FILES, fence=lambda: None).version


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models" / "main")


def test_versions_come_in_numeric_order(registry: Registry) -> None:
    for _ in range(11):
        put(registry)
    assert registry.versions() == [f"v{i}" for i in range(1, 12)]


def test_a_folder_that_is_no_version_is_not_listed(registry: Registry) -> None:
    put(registry)
    for name in ("v01", "v0", "V2", "v2 ", "v２", "latest", "v1\n"):
        (registry.directory / name).mkdir()
    assert registry.versions() == ["v1"]


def test_an_empty_registry_has_no_versions_and_nothing_active(registry: Registry) -> None:
    assert registry.versions() == []
    assert registry.active.read() is None
    assert registry.active.signature() is None
    with pytest.raises(NoActiveModel):
        registry.active.touch()


def test_what_is_published_can_be_read_and_verified(registry: Registry) -> None:
    version = put(registry)
    manifest, text = registry.load(version, "model.txt")
    assert manifest.version == "v1"
    assert text == b"tree\n"
    assert set(manifest.files) == set(FILES)
    with pytest.raises(ArtifactCorrupt, match=r"lists no other\.txt"):
        registry.read(version, "other.txt")


@pytest.mark.parametrize("version", ["v2", "../main/v1", "v1/", "", "v1\n", "V1", "v" + "9" * 4096])
def test_a_version_that_is_not_in_the_listing_is_not_found(
    registry: Registry, version: str
) -> None:
    put(registry)
    with pytest.raises(ModelNotFound):
        registry.manifest(version)
    with pytest.raises(ModelNotFound):
        registry.activate(version, actor="me", reason="", now=NOW)


def test_every_flipped_byte_is_refused(registry: Registry) -> None:
    version = put(registry)
    rng = random.Random(5)  # noqa: S311
    for name in ("model.txt", "manifest.json", "reference.parquet"):
        path = registry.directory / version / name
        whole = path.read_bytes()
        for at in {*rng.choices(range(len(whole)), k=60), 0, len(whole) - 1}:
            flipped = bytearray(whole)
            flipped[at] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            with pytest.raises(ArtifactCorrupt):
                registry.verify(version)
        path.write_bytes(whole)
    registry.verify(version)


def test_missing_files_are_refused(registry: Registry) -> None:
    version = put(registry)
    (registry.directory / version / "model.txt").unlink()
    with pytest.raises(ArtifactCorrupt, match="can't be read"):
        registry.verify(version)
    (registry.directory / version / "manifest.json").unlink()
    with pytest.raises(ArtifactCorrupt, match="is missing"):
        registry.manifest(version)


def test_a_manifest_of_another_version_is_refused(registry: Registry) -> None:
    put(registry)
    put(registry)
    first, second = (registry.directory / v / "manifest.json" for v in ("v1", "v2"))
    second.write_bytes(first.read_bytes())
    with pytest.raises(ArtifactCorrupt, match="that of v1"):
        registry.manifest("v2")


def test_a_fence_that_refuses_leaves_nothing_behind(registry: Registry) -> None:
    def refuse() -> None:
        raise LeaseLost("run")

    with pytest.raises(LeaseLost):
        registry.publish(draft(), FILES, fence=refuse)
    assert registry.versions() == []
    assert list(registry.directory.glob(".staging-*")) == []


def test_a_process_killed_while_publishing_leaves_no_version(registry: Registry) -> None:
    put(registry)
    killed = subprocess.run(
        [sys.executable, "-m", die_while_publishing.__name__, str(registry.directory)],
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert killed.returncode == -9
    assert registry.versions() == ["v1"]
    assert put(registry) == "v2", "the dead process's lock must not outlive it"
    assert staged_run_ids(registry.directory) == {"dead"}
    remove_staged(registry.directory, {"dead", "never-there"})
    assert staged_run_ids(registry.directory) == frozenset()
    assert registry.versions() == ["v1", "v2"]


def test_racing_publishers_get_consecutive_versions(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda i: put(registry, f"run{i}"), range(40)))
    assert sorted(versions, key=lambda v: int(v[1:])) == [f"v{i}" for i in range(1, 41)]


def test_activation_counts_generations_and_remembers_the_one_before(registry: Registry) -> None:
    put(registry)
    put(registry)
    first = registry.activate("v1", actor="ann", reason="first", now=NOW)
    signature = registry.active.signature()
    second = registry.activate("v2", actor="bob", reason="better", now=NOW)
    again = registry.activate("v2", actor="bob", reason="again", now=NOW)

    assert (first.generation, first.previous_version) == (1, None)
    assert (second.generation, second.previous_version) == (2, "v1")
    assert (again.generation, again.previous_version) == (3, "v1")
    assert registry.active.read() == again
    assert registry.active.signature() != signature


def test_racing_activators_lose_no_generation(registry: Registry) -> None:
    put(registry)
    put(registry)

    def activate(i: int) -> int:
        return registry.activate(f"v{i % 2 + 1}", actor="x", reason="", now=NOW).generation

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(activate, range(40))) == list(range(1, 41))


@pytest.mark.parametrize("content", [b"", b"v1", b"{}", b'{"version": 1', b"[]"])
def test_an_active_file_that_can_not_be_read_is_corrupt(registry: Registry, content: bytes) -> None:
    put(registry)
    (registry.directory / "ACTIVE").write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match="ACTIVE"):
        registry.active.read()


def test_what_is_published_is_its_owners_alone(registry: Registry) -> None:
    version = put(registry, "run1")
    registry.activate(version, actor="x", reason="", now=NOW)
    for path in registry.directory.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_registry_keeps_its_identity(registry: Registry) -> None:
    identity = registry.identity()
    assert Registry(registry.directory).identity() == identity
    assert len(identity) == 12
