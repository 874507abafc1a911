"""A feature set for FEATURE_SETS whose only feature needs volume and prices above zero."""

from __future__ import annotations

import polars as pl

from mlengine.core.features import Feature, FeatureSet

FEATURE_SETS = [
    FeatureSet(
        name="turnover",
        version=1,
        window_bars=1,
        features=(
            Feature(
                name="turnover",
                expr=(pl.col("close") * pl.col("volume")).log(),
                formula="log(close * volume)",
                bars=1,
                unit="log money",
                source="own",
                doc="Money that changed hands.",
                scale_free=False,
            ),
        ),
    )
]
