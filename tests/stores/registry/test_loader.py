from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.published import publish

from mlengine.core.features import BUILTIN
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system.dependency_states import DependencyStates

NOW = datetime(2021, 3, 1, tzinfo=UTC)


class Clock:
    """A monotonic timer that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two versions, v1 active."""
    for seed in (1, 2):
        publish(tmp_path, seed=seed, run_id=f"run{seed}")
    registry = Registry(tmp_path)
    registry.activate("v1", actor="test", reason="first", now=NOW)
    return registry


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states() -> DependencyStates:
    return DependencyStates()


@pytest.fixture
def loader(registry: Registry, clock: Clock, states: DependencyStates) -> ModelLoader:
    return ModelLoader(registry, BUILTIN, interval="1d", states=states, timer=clock)


def damage(registry: Registry, version: str) -> Callable[[], object]:
    """Spoil the model file of a version; returns what mends it."""
    path = registry.directory / version / "model.txt"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    return lambda: path.write_bytes(content)


def test_a_refused_version_whose_files_were_mended_is_noticed_within_seconds(
    registry: Registry, loader: ModelLoader, clock: Clock, states: DependencyStates
) -> None:
    assert loader.active().version == "v1"
    mend = damage(registry, "v2")
    registry.activate("v2", actor="test", reason="", now=NOW)
    assert loader.active().version == "v1"
    assert (loader.active_failed_to_load, states.state("model")) == (True, "degraded")
    mend()
    clock.seconds = 4.9
    assert (loader.active().version, loader.active_failed_to_load) == ("v1", True)
    clock.seconds = 5.0
    assert (loader.active().version, loader.active_failed_to_load) == ("v2", False)
    assert states.state("model") == "ok"


def test_the_only_version_is_served_as_soon_as_it_is_mended(
    registry: Registry, loader: ModelLoader, clock: Clock, states: DependencyStates
) -> None:
    mend = damage(registry, "v1")
    with pytest.raises(ArtifactCorrupt):
        loader.active()
    assert states.state("model") == "down"
    mend()
    clock.seconds = 5.0
    assert loader.active().version == "v1"


def test_a_process_that_starts_on_a_broken_version_serves_the_one_before_it(
    registry: Registry, loader: ModelLoader, clock: Clock, states: DependencyStates
) -> None:
    registry.activate("v2", actor="test", reason="", now=NOW)
    mend = damage(registry, "v2")
    assert loader.active().version == loader.loaded_version == "v1"
    assert (loader.active_failed_to_load, states.state("model")) == (True, "degraded")
    with pytest.raises(ArtifactCorrupt):
        loader.reload()
    mend()
    clock.seconds = 5.0
    assert (loader.active().version, loader.active_failed_to_load) == ("v2", False)
    assert states.state("model") == "ok"


def test_a_process_that_starts_on_two_broken_versions_says_what_is_wrong_with_the_active_one(
    registry: Registry, loader: ModelLoader, clock: Clock, states: DependencyStates
) -> None:
    registry.activate("v2", actor="test", reason="", now=NOW)
    damage(registry, "v2")
    mend = damage(registry, "v1")
    with pytest.raises(ArtifactCorrupt, match="v2"):
        loader.active()
    assert states.state("model") == "down"
    mend()
    clock.seconds = 5.0
    assert loader.active().version == "v1"
    assert states.state("model") == "degraded"


def test_a_version_that_stays_refused_is_read_and_logged_now_and_then(
    registry: Registry, loader: ModelLoader, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    damage(registry, "v1")
    for second in range(21):
        clock.seconds = float(second)
        with pytest.raises(ArtifactCorrupt, match=r"model\.txt differs"):
            loader.active()
    assert len(caplog.records) == 1, "the same reason is said once"
    (registry.directory / "v1" / "manifest.json").unlink()
    clock.seconds = 30.0
    with pytest.raises(ArtifactCorrupt, match=r"manifest\.json is missing"):
        loader.active()
    assert len(caplog.records) == 2


def test_what_serves_goes_on_when_its_folder_can_not_be_read(
    registry: Registry, loader: ModelLoader, states: DependencyStates
) -> None:
    serving = loader.active()
    registry.directory.rename(registry.directory.with_name("away"))
    registry.directory.write_text("")
    assert loader.active() is serving
    assert (loader.active_failed_to_load, states.state("model")) == (True, "degraded")


def test_a_version_with_a_damaged_novelty_reference_is_corrupt(
    registry: Registry, loader: ModelLoader
) -> None:
    publish(registry.directory, beside={"novelty.npz": b"PK nothing of the kind"})
    newest = registry.versions()[-1]
    with pytest.raises(ArtifactCorrupt, match=r"novelty\.npz"):
        loader.load(newest)
    assert loader.load("v1").novelty is None
