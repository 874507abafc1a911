"""All that a version keeps for the monitoring of its inputs and its scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.reference import DriftReference
from mlengine.core.monitoring.drift.tallies import DateTallies

PREDICTION = "prediction"


@dataclass(frozen=True)
class ModelReference:
    """`features` are the watched ones of the training rows; `prediction` is the score alone.

    The scores are those of rows that the model scoring them had not seen, by folds and in the
    holdout: live rows are such rows. `losses` (40,) are those of `expected_losses`, None where the
    score is no probability.
    """

    features: DriftReference
    prediction: DriftReference
    losses: Floats | None = None

    @cached_property
    def grid(self) -> FeatureGrid:
        """Of the features and, last, the prediction: live rows are counted on it once."""
        return self.features.grid.joined(self.prediction.grid)

    def split(self, live: DateTallies) -> tuple[DateTallies, DateTallies]:
        """Tallies on `grid` of the features and of the prediction."""
        return live.columns(slice(0, -1)), live.columns(slice(-1, None))
