from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.published import draft

from mlengine.core.versions.manifest import RowRange
from mlengine.services.models.event_recording import (
    HoldoutUses,
    count_holdout_uses,
    manifest_recipe,
)
from mlengine.stores.registry.registry import Registry


def _day(day):
    return datetime(2024, 1, day, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path / "main")
    for number, (first, last) in enumerate([(1, 5), (4, 9), (9, 20)]):
        manifest = draft(run_id=f"run-{number}")
        holdout = replace(manifest.split, holdout=RowRange(_day(first), _day(last), 1))
        registry.publish(replace(manifest, split=holdout), {}, fence=lambda: None)
    return registry


@pytest.mark.parametrize(
    ("first", "last", "versions"), [(1, 3, 1), (5, 8, 2), (9, 9, 2), (1, 31, 3), (21, 31, 0)]
)
def test_a_version_counts_when_its_holdout_shares_a_date(registry, first, last, versions):
    uses = count_holdout_uses(registry, [], start=_day(first), end=_day(last))
    assert uses.versions == versions


def test_a_version_that_is_gone_counts_by_what_the_history_keeps_of_it(registry):
    told = [
        {"run_id": run_id, "holdout": ["2024-01-02T00:00:00Z", "2024-01-04T00:00:00Z"]}
        for run_id in ("run-0", "run-pruned")
    ]
    old = {"run_id": "run-of-an-older-platform"}
    assert count_holdout_uses(registry, [*told, old], start=_day(1), end=_day(3)).versions == 2
    assert count_holdout_uses(registry, [*told, old], start=_day(5), end=_day(8)).versions == 2


def test_a_version_whose_manifest_is_refused_does_not_count_by_itself(registry):
    path = registry.directory / "v2" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"actor": "test"', b'"actor": "else"'))
    assert count_holdout_uses(registry, [], start=_day(5), end=_day(8)).versions == 1


def test_an_empty_registry_has_looked_at_nothing(tmp_path):
    uses = count_holdout_uses(Registry(tmp_path / "main"), [], start=_day(1), end=_day(2))
    assert uses == HoldoutUses(0, 0)


def test_a_recipe_counts_once_and_not_for_itself(registry):
    span = {"holdout": ["2024-01-02T00:00:00Z", "2024-01-04T00:00:00Z"]}
    told = [
        {"run_id": "run-a", "recipe": "a", **span},
        {"run_id": "run-b", "recipe": "a", **span},
        {"run_id": "run-c", **span},
    ]
    own = manifest_recipe(registry.manifest("v1"))
    january = {"start": _day(1), "end": _day(31)}
    assert count_holdout_uses(registry, told, **january, recipe=own) == HoldoutUses(6, 2)
    assert count_holdout_uses(registry, told, **january, recipe="a") == HoldoutUses(6, 2)
    assert count_holdout_uses(registry, told, **january, recipe="new") == HoldoutUses(6, 3)


def test_a_recipe_is_what_shapes_the_model():
    spec = draft().spec
    same = replace(spec, activate="always", note="again", gate_margin=0.5)
    assert same.recipe_sha256("hash") == spec.recipe_sha256("hash")
    for other in (replace(spec, seed=spec.seed + 1), replace(spec, horizon_bars=7)):
        assert other.recipe_sha256("hash") != spec.recipe_sha256("hash")
    assert spec.recipe_sha256("other") != spec.recipe_sha256("hash")
