"""Earlier answers, of which all but the score holds until there are other bars or another model."""

from dataclasses import dataclass
from weakref import ReferenceType, WeakKeyDictionary, ref

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.frozen import frozen_by_types
from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.registry.loader import LoadedModel


@frozen_by_types
@dataclass(frozen=True, eq=False)
class CachedPrediction:
    """An answer that was made from the ground up, without an explanation, of `row` by `model`.

    `score` is what its forecast was made of. `is_novel` holds for the limits that it was made by.
    """

    answer: AuditedPrediction
    row: Floats
    model: ReferenceType[LoadedModel]
    score: float
    is_novel: bool


class PredictionCache:
    """One a window of bars, and gone with it; safe for threads."""

    def __init__(self) -> None:
        self._answers: WeakKeyDictionary[BarArrays, CachedPrediction] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, window: BarArrays, model: LoadedModel, row: Floats) -> CachedPrediction | None:
        """The answer that was made of these very bars and this very row by this very model."""
        cached = self._answers.get(window)
        return cached if cached and cached.model() is model and cached.row is row else None

    def put(
        self,
        window: BarArrays,
        model: LoadedModel,
        row: Floats,
        answer: AuditedPrediction,
        *,
        score: float,
        is_novel: bool,
    ) -> None:
        """In place of an older one; neither the bars nor the model are kept alive."""
        self._answers[window] = CachedPrediction(answer, row, ref(model), score, is_novel)
