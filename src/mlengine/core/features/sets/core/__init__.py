"""The `core` feature set: what a market person expects, scale-free, within 64 bars."""

from mlengine.core.features.sets.core import channels, movement, trend, volatility, volume
from mlengine.core.features.spec import FeatureSet

_FAMILIES = (movement, volatility, trend, channels, volume)

CORE = FeatureSet(
    name="core",
    version=1,
    window_bars=64,
    features=tuple(feature for family in _FAMILIES for feature in family.FEATURES),
    parts={name: part for family in _FAMILIES for name, part in family.PARTS.items()},
)
