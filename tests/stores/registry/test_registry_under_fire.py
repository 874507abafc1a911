"""What a killed process or a failing disk leaves of the registry: see tests/crashing.py."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.crashing import (
    FILES,
    NOW,
    ROOT,
    all_steps,
    at_step,
    five_versions,
    put,
    racing_publishers,
)
from tests.processes import publish_with_limited_file_size
from tests.published import publish

from mlengine.core.versions.pruning import Pin
from mlengine.errors import ArtifactCorrupt, ArtifactsUnavailable
from mlengine.stores.registry.folders import remove_staged, staged_run_ids
from mlengine.stores.registry.registry import Registry

VERSIONS = ["v1", "v2", "v3", "v4", "v5"]


def steps_of(folder: Path, outcomes: dict[str, list[str]]) -> list[tuple[str, str, Registry]]:
    """Each change, what became of it at one step, and the registry that it left."""
    return [
        (change, outcome, Registry(folder / change / str(number)))
        for change, results in outcomes.items()
        for number, outcome in enumerate(results, 1)
    ]


def assert_whole(registry: Registry, change: str) -> None:
    """Every version that is seen is whole, none is missing, and ACTIVE and the pins are read."""
    versions = registry.versions()
    for version in versions:
        registry.verify(version)
    gone = {"v2", "v3"} if change == "prune" else set()
    assert set(VERSIONS) - gone <= set(versions)
    active = registry.active.read()
    assert active is not None
    assert active.version in ("v5", "v1" if change == "activate" else "v5")
    assert set(registry.pins.read()) <= {"v1", "v4"}


def assert_goes_on(registry: Registry) -> None:
    """The next publish gets the next number, and the sweep leaves nothing that is hidden."""
    newest = int(registry.versions()[-1][1:])
    assert put(registry, "next") == f"v{newest + 1}"
    remove_staged(registry.directory, staged_run_ids(registry.directory))
    hidden = {path.name for path in registry.directory.iterdir() if path.name.startswith(".")}
    assert hidden == {".lock"}


def test_a_process_killed_at_any_step_leaves_every_version_whole(tmp_path: Path) -> None:
    outcomes = all_steps("killed", tmp_path)
    assert {len(results) > 5 for results in outcomes.values()} == {True}
    for change, outcome, registry in steps_of(tmp_path, outcomes):
        assert outcome == "killed"
        assert_whole(registry, change)
        assert_goes_on(registry)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ENOSPC", "the disk is full"),
        pytest.param("EIO", "the disk gives errors", marks=pytest.mark.soak),
    ],
)
def test_a_disk_that_refuses_at_any_step_is_named_and_leaves_nothing(
    tmp_path: Path, name: str, reason: str
) -> None:
    outcomes = all_steps(name, tmp_path)
    assert {len(results) > 5 for results in outcomes.values()} == {True}
    for change, outcome, registry in steps_of(tmp_path, outcomes):
        assert outcome == f"the artifacts folder can't be written: {reason}"
        assert_whole(registry, change)
        if change == "publish":
            assert registry.versions() == VERSIONS, "what failed is not seen"
            assert not staged_run_ids(registry.directory)
        assert_goes_on(registry)


@pytest.mark.parametrize(
    "most_bytes", [4096, *(pytest.param(most, marks=pytest.mark.soak) for most in (0, 1, 44_999))]
)
def test_a_write_that_the_kernel_cuts_short_publishes_nothing(
    tmp_path: Path, most_bytes: int
) -> None:
    registry = five_versions(tmp_path)
    assert most_bytes < len(FILES["model.txt"])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            publish_with_limited_file_size.__name__,
            str(most_bytes),
            str(tmp_path),
        ],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    reason = "the artifacts folder can't be written: a file may not grow that large"
    assert (done.returncode, done.stderr.strip()) == (1, reason)
    assert registry.versions() == VERSIONS
    assert_goes_on(registry)


@pytest.mark.parametrize("each", [5, pytest.param(25, marks=pytest.mark.soak)])
def test_eight_processes_that_publish_at_once_get_consecutive_versions(
    tmp_path: Path, each: int
) -> None:
    racing_publishers(tmp_path, processes=8, each=each)
    registry = Registry(tmp_path)
    assert registry.versions() == [f"v{number}" for number in range(1, 8 * each + 1)]
    runs = {registry.verify(version).run_id for version in registry.versions()}
    assert len(runs) == 8 * each
    assert not staged_run_ids(tmp_path)


@pytest.mark.parametrize("flips", [200, pytest.param(2000, marks=pytest.mark.soak)])
def test_every_flipped_bit_is_a_refusal(tmp_path: Path, flips: int) -> None:
    version = publish(tmp_path).version
    registry = Registry(tmp_path)
    rng = random.Random(11)  # noqa: S311
    paths = [tmp_path / version / name for name in ("model.txt", "manifest.json")]
    whole = {path: path.read_bytes() for path in paths}
    refused = 0
    for _ in range(flips):
        path = rng.choice(paths)
        flipped = bytearray(whole[path])
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(ArtifactCorrupt):
            registry.load(version, "model.txt")
        path.write_bytes(whole[path])
        refused += 1
    assert refused == flips
    assert registry.load(version, "model.txt")[1] == whole[paths[0]]


def test_what_is_published_is_forced_to_disk_from_the_first_folder_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        forced.append(path.relative_to(tmp_path).as_posix())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    put(Registry(tmp_path / "models" / "main"), "run")
    staging = "models/main/.staging-run"
    assert forced == [
        ".",
        "models",
        *("models", "."),  # again: they may have been made by a process that was killed
        f"{staging}/model.txt",
        f"{staging}/reference.parquet",
        f"{staging}/manifest.json",
        staging,
        "models/main",
    ]


def test_a_damaged_active_file_is_written_over_and_one_that_can_not_be_read_is_not(
    tmp_path: Path,
) -> None:
    registry = five_versions(tmp_path)
    registry.active.path.unlink()
    registry.active.path.mkdir()
    with pytest.raises(ArtifactCorrupt):
        registry.active.read()
    with pytest.raises(OSError, match="directory"):
        registry.active.replace(
            "v1", kind="activated", actor="x", reason="", now=NOW, after_generation=0
        )


def test_to_unpin_again_forces_what_a_failing_disk_had_not(tmp_path: Path) -> None:
    """Else a power cut could bring back a pin that two callers had taken off."""
    publish(tmp_path)
    registry = Registry(tmp_path)
    registry.pin("v1", Pin(reason="", actor="me", at=NOW))

    def refuse() -> None:
        raise OSError(errno.ENOSPC, "")

    with (
        at_step(2, refuse, among=frozenset({"fsync"})),
        pytest.raises(ArtifactsUnavailable),
    ):
        registry.unpin("v1")
    assert registry.pins.read() == {}
    forced: list[int] = []
    with at_step(1, lambda: forced.append(1), among=frozenset({"fsync"})):
        assert not registry.unpin("v1")
    assert forced == [1]
