"""Which feature sets there are: the built-in ones, and those of the user's own modules."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from mlengine.core.features import BUILTIN, FeatureSet
from mlengine.errors import BadSetting


def collect(modules: Sequence[str], *, wanted: str) -> dict[str, FeatureSet]:
    """The sets by name; a later one may not hide an earlier one.

    Raises BadSetting for a module that can't be used, and when no set is called `wanted`.
    """
    found = dict(BUILTIN)
    for module in modules:
        for feature_set in _own(module):
            found.setdefault(feature_set.name, feature_set)
    if wanted not in found:
        raise BadSetting("TRAIN_FEATURE_SET", wanted, f"one of {', '.join(sorted(found))}")
    return found


def _own(module: str) -> tuple[FeatureSet, ...]:
    """The `FEATURE_SETS` of a user's own module, which may fail in any way."""
    expected = "importable modules with a sequence FEATURE_SETS"
    try:
        sets = tuple(importlib.import_module(module).FEATURE_SETS)
    except Exception as error:
        kind = type(error).__name__
        reason = f"{expected} ({kind}: `python -c 'import {module}'` may say more)"
        raise BadSetting("FEATURE_SETS", module, reason) from error
    if not all(isinstance(each, FeatureSet) for each in sets):
        raise BadSetting("FEATURE_SETS", module, f"{expected} of FeatureSet")
    return sets
