"""Formulas are bound to values: a changed number needs a new version of the set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.core.features import reference
from tests.golden.core_features.make import golden_bars

from mlengine.core.features import CORE, compute

FOLDER = Path(__file__).parents[2] / "golden" / "core_features"
VALUES = json.loads((FOLDER / "values.json").read_text())


def test_the_declared_formulas_are_the_golden_ones():
    assert (VALUES["set"], VALUES["version"], VALUES["hash"]) == ("core", CORE.version, CORE.hash)


@pytest.mark.parametrize("row", VALUES["rows"])
def test_the_formulas_give_the_golden_values(row: str):
    made = compute(golden_bars(), CORE).row(int(row), named=True)
    expected = VALUES["rows"][row]
    assert list(expected) == list(CORE.names)
    assert {name: made[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("row", VALUES["rows"])
def test_the_golden_values_are_those_of_plain_python(row: str):
    exact = reference.features(golden_bars().head(int(row) + 1))
    assert VALUES["rows"][row] == pytest.approx(exact, rel=1e-9, abs=1e-14)


def test_the_golden_file_is_the_one_that_was_made():
    metadata = json.loads((FOLDER / "metadata.json").read_text())
    digest = hashlib.sha256((FOLDER / "values.json").read_bytes()).hexdigest()
    assert metadata["sha256"] == {"values.json": digest}
