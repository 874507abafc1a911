"""Trainings by the same feature set on the same bars are tried for leaks once, not once a test."""

from __future__ import annotations

import polars as pl
import pytest

from mlengine.core.bars.bars import panel_hash
from mlengine.core.features import FeatureSet
from mlengine.services.training import leak_check, pipeline

# By the identity of the set, which is held here and so has no successor at its address.
_passed: dict[tuple[int, str], FeatureSet] = {}


def _refuse_leaks(feature_set: FeatureSet, bars: pl.DataFrame) -> None:
    """What has passed passes again: the check is a function of its arguments alone."""
    key = id(feature_set), panel_hash(bars)
    if key not in _passed:
        leak_check.refuse_leaks(feature_set, bars)
        _passed[key] = feature_set


@pytest.fixture(autouse=True)
def _leaks_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "refuse_leaks", _refuse_leaks)
