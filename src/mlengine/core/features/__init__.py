"""Features: deterministic functions of exactly the last `window_bars` bars, declared once."""

from collections.abc import Mapping
from types import MappingProxyType

from mlengine.core.features.compute import compute, latest
from mlengine.core.features.sets.alpha158 import ALPHA158
from mlengine.core.features.sets.core import CORE
from mlengine.core.features.spec import Feature, FeatureSet

BUILTIN: Mapping[str, FeatureSet] = MappingProxyType({each.name: each for each in (CORE, ALPHA158)})

__all__ = ["ALPHA158", "BUILTIN", "CORE", "Feature", "FeatureSet", "compute", "latest"]
