"""Answers that stand but for their score, until there are other bars or another model."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import ReferenceType, WeakKeyDictionary, ref

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.stores.audit.entries import Answered
from mlengine.stores.registry.loader import LoadedModel


@dataclass(frozen=True, eq=False)
class CachedPrediction:
    """An answer that was made from the ground up, without an explanation, of `row` by `model`."""

    answer: Answered
    row: Floats
    model: ReferenceType[LoadedModel]


class PredictionCache:
    """One a window of bars, and gone with it; safe for threads."""

    def __init__(self) -> None:
        self._standing: WeakKeyDictionary[BarArrays, CachedPrediction] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._standing)

    def get(self, window: BarArrays, model: LoadedModel, row: Floats) -> CachedPrediction | None:
        """The answer that was made of these very bars and this very row by this very model."""
        found = self._standing.get(window)
        return found if found and found.model() is model and found.row is row else None

    def keep(self, window: BarArrays, model: LoadedModel, row: Floats, answer: Answered) -> None:
        """In place of an older one; neither the bars nor the model are kept alive."""
        self._standing[window] = CachedPrediction(answer, row, ref(model))
