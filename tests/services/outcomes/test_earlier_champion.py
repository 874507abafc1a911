"""A version is compared with the one before it only where both answer the same question."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.platforms import NOW, make_platform

from mlengine.bootstrap.platform import Platform
from mlengine.core.versions.manifest import Manifest
from mlengine.services.outcomes.earlier_champion import EarlierChampion
from mlengine.services.outcomes.step import OutcomeStep


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Whose v2 is active after v1."""
    platform = make_platform(tmp_path, models=2)
    platform.models.activate("v2", actor="test", reason="better", now=NOW)
    yield platform
    platform.control.database.dispose()


@pytest.fixture
def manifest(platform: Platform) -> Manifest:
    return platform.registry.manifest("v2")


@pytest.fixture
def earlier(platform: Platform) -> EarlierChampion:
    (step,) = (each for each in platform.monitoring_updates.steps if isinstance(each, OutcomeStep))
    return step.earlier


def test_the_version_before_is_compared_with(earlier: EarlierChampion, manifest: Manifest) -> None:
    found = earlier.of(manifest)
    assert (found.version, found.reason) == ("v1", None)
    assert found.model is not None
    assert found.model.version == "v1"


def test_a_version_of_other_features_is_not(earlier: EarlierChampion, manifest: Manifest) -> None:
    other = replace(manifest, feature_set=replace(manifest.feature_set, hash="e" * 64))
    found = earlier.of(other)
    assert (found.version, found.model, found.reason) == ("v1", None, "other_features")
    assert earlier.scores(other, {1: 1}) == {}


def test_a_version_that_forecasts_something_else_is_not(
    earlier: EarlierChampion, manifest: Manifest
) -> None:
    found = earlier.of(replace(manifest, spec=replace(manifest.spec, horizon_bars=9)))
    assert (found.version, found.model, found.reason) == ("v1", None, "other_label")


def test_one_that_is_gone_is_named_with_the_reason(
    platform: Platform, earlier: EarlierChampion, manifest: Manifest
) -> None:
    shutil.rmtree(platform.registry.directory / "v1")
    found = earlier.of(manifest)
    assert (found.version, found.model, found.reason) == ("v1", None, "model_not_found")


def test_outcomes_whose_vector_is_gone_have_no_other_score(
    earlier: EarlierChampion, manifest: Manifest
) -> None:
    assert earlier.scores(manifest, {1: None, 2: 12345}) == {}
