"""What a training has to say in words about what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlengine.core.features import variants
from mlengine.core.versions.layout import CANDIDATE_FILE, MODEL_FILE

if TYPE_CHECKING:
    from mlengine.services.training.manifest_builder import TrainingResult

_OTHER_TREES = (
    "fitted by the workers of a Dask cluster, whose sums depend on who is first: the same recipe "
    "may give other trees each time, so that the gate never promotes it by itself"
)
_LISTED_SYMBOLS = 10


def remarks(training: TrainingResult) -> tuple[str, ...]:
    """Those that the manifest of a finished training has."""
    said = []
    if training.candidate.fitted.best_iteration == 1:
        said.append("one tree: early stopping found nothing better than the first round")
    if training.experiment.refit is not None:
        said.append(f"metrics describe {CANDIDATE_FILE}; {MODEL_FILE} is its refit on all rows")
    if not training.spec.is_reproducible:
        said.append(_OTHER_TREES)
    if training.dropped_features:
        names = ", ".join(training.dropped_features)
        said.append(f"left out, since no symbol has what they need: {names}")
    if symbols := _without_volume(training):
        more = len(symbols) - _LISTED_SYMBOLS
        names = ", ".join(symbols[:_LISTED_SYMBOLS]) + (f" and {more} more" if more > 0 else "")
        said.append(
            f"no volume, which others have: {names}; features that read it are null there, and a "
            "model line without the others leaves them out"
        )
    return tuple(said)


def _without_volume(training: TrainingResult) -> list[str]:
    """Symbols without any, where features of the set read it."""
    chosen = training.feature_set
    without = f"{chosen.name}.{variants.NO_VOLUME}"
    if variants.find({chosen.name: chosen}, without) is None:
        return []
    return [each.symbol for each in training.bars.series if each.zero_volume_share == 1.0]
