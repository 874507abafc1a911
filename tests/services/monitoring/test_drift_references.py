"""What a version is held against: kept while it is used, refused where it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.monitoring.drift.panels import NAMES
from tests.services.monitoring.live_years import publish_version

from mlengine.errors import ArtifactCorrupt
from mlengine.services.monitoring.drift_references import DriftReferences
from mlengine.stores.registry.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_the_versions_that_were_used_last_stay_in_memory(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlengine.services.monitoring.drift_references._MOST_KEPT", 2)
    for _ in range(3):
        publish_version(registry, None)
    references = DriftReferences(registry)
    first, second = references.get("v1"), references.get("v2")
    assert references.get("v1") is first, "so v2 was used longest ago"
    references.get("v3")
    assert references.get("v1") is first
    assert references.get("v2") is not second


def test_a_sketch_that_is_no_table_is_corrupt(registry: Registry) -> None:
    publish_version(registry, None, sketched=b"no table")
    with pytest.raises(ArtifactCorrupt, match="no table"):
        DriftReferences(registry).get("v1")


def test_a_reference_of_other_features_is_corrupt(registry: Registry) -> None:
    publish_version(registry, None, names=(*NAMES[:-1], "another"))
    with pytest.raises(ArtifactCorrupt, match="of other features"):
        DriftReferences(registry).get("v1")
