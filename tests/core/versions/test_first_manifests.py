from __future__ import annotations

import hashlib
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from mlengine.core.versions import manifest as manifests
from mlengine.core.versions.first_manifests import REMARK

GOLDEN = Path(__file__).parents[2] / "golden/older_artifacts/first_manifests.tar.xz"
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@pytest.fixture(scope="module")
def content() -> bytes:
    with tarfile.open(GOLDEN) as archive:
        file = archive.extractfile("artifacts/models/main/v1/manifest.json")
        assert file is not None
        return file.read()


def _signed(fields: dict[str, Any]) -> bytes:
    """With the digest that a platform of schema 1 would have written."""
    unsigned = {**fields, "manifest_sha256": ""}
    digest = hashlib.sha256(orjson.dumps(unsigned, option=_OPTIONS)).hexdigest()
    return orjson.dumps({**fields, "manifest_sha256": digest}, option=_OPTIONS)


def test_what_was_recorded_is_kept_and_what_was_not_is_null(content: bytes) -> None:
    fields, manifest = orjson.loads(content), manifests.parse(content)
    kept = {
        name: value
        for name, value in manifest.to_dict().items()
        if name in fields
        and name not in ("label", "data", "folds", "metrics", "gate", "remarks", "schema_version")
    }
    assert kept.items() <= fields.items()
    assert manifest.metrics["auc"].value == fields["metrics"]["auc"]["value"]
    assert (manifest.metrics["auc"].low, manifest.calibration) == (None, None)
    assert (manifest.verdict.verdict, manifest.verdict.metric) == ("no_edge", "auc")
    assert manifest.remarks[-1] == REMARK
    assert manifests.parse(manifests.dump(manifest)) == manifest


def test_the_recipe_is_read_from_the_results(content: bytes) -> None:
    fields = orjson.loads(content)
    fields["data"]["skipped_symbols"] = [{"symbol": "ABC", "reason": "unknown"}]
    fields["served"] = "refit"
    spec = manifests.parse(_signed(fields)).spec
    assert (spec.symbols, spec.refit, spec.folds) == (("AAA", "ABC", "BBB"), "full", 2)
    assert (spec.seed, spec.rounds, spec.feature_set) == (42, 300, "core")


def test_correlations_of_all_rows_are_called_so(content: bytes) -> None:
    fields = orjson.loads(content)
    auc = fields["metrics"].pop("auc")
    fields |= {"objective": "return", "metrics": {"ic": auc, "rank_ic": auc}}
    manifest = manifests.parse(_signed(fields))
    assert {*manifest.metrics} == {"pooled_ic", "pooled_rank_ic"}
    assert (manifest.verdict.metric, manifest.verdict.value) == ("ic_time", None)


@pytest.mark.parametrize("lie", [None, [], {}, "x", 1, [1], {"x": 1}, [[]]])
def test_a_field_that_lies_is_refused_with_a_right_digest(content: bytes, lie: object) -> None:
    whole, manifest = orjson.loads(content), manifests.parse(content)
    for name in whole.keys() - {"manifest_sha256"}:
        with suppress(ValueError):
            read = manifests.parse(_signed({**whole, name: lie}))
            assert type(getattr(read, name)) is type(getattr(manifest, name)), name


@pytest.mark.parametrize("change", [{"base_rate": 0.9}, {"more": 1}, {"manifest_sha256": "0" * 64}])
def test_an_edited_field_is_refused(content: bytes, change: dict[str, object]) -> None:
    edited = {**orjson.loads(content), **change}
    with pytest.raises(ValueError, match=r"fields|type|expected"):
        manifests.parse(orjson.dumps(edited, option=_OPTIONS))


def test_another_byte_form_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="byte form"):
        manifests.parse(orjson.dumps(orjson.loads(content)))
