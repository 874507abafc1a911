"""What the fits of a training's folds take, so that any process can do any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mlengine.core.arrays import Indices
from mlengine.core.boosting import model
from mlengine.core.boosting.binning import SharedBins
from mlengine.core.boosting.model import FittedModel, LightGBMConfig
from mlengine.core.runs.progress import ProgressTracker


@dataclass(frozen=True)
class FitRows:
    """Row numbers, ascending: those to fit on and those to stop early on."""

    fit: Indices
    early_stop: Indices


@dataclass(frozen=True)
class FoldWork:
    """The folds of one training on one set of binned rows; folds are numbered from 1."""

    config: LightGBMConfig
    bins: SharedBins
    folds: tuple[FitRows, ...]

    def fit(self, fold: int, on_iteration: Callable[[int], None] | None = None) -> FittedModel:
        """The model of one fold: the same trees in whichever process; raises TrainingFailed."""
        rows = self.folds[fold - 1]
        binned = self.bins.subset(rows.fit, rows.early_stop)
        return model.fit_binned(self.config, binned, on_iteration=on_iteration)


class FoldFanOut(Protocol):
    """Other processes that fit folds of a training beside the one that it belongs to."""

    def begin(self, work: FoldWork) -> None:
        """Let others fit what they can from now on."""

    def gather(self, work: FoldWork, tracker: ProgressTracker) -> Iterator[tuple[int, FittedModel]]:
        """Each fold with its model, in the order in which they are ready; fits what is open."""
