"""What the model lines answer with in one round of the poll, as far as it is in memory."""

from typing import NamedTuple

from mlengine.bootstrap.platform import Platform
from mlengine.core.line_names import MODEL_LINE
from mlengine.services.predictions.service import PredictService
from mlengine.stores.registry.loader import LoadedModel


class Champion(NamedTuple):
    """The active model of a line, and the service that answers with it."""

    predict: PredictService
    model: LoadedModel


class ChampionsAtHand:
    """One thread uses it. What it knows holds for one round."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: dict[bytes | None, Champion | None] = {}

    def begin_round(self) -> None:
        """Look anew for what other processes changed."""
        self._known.clear()

    def of(self, line: bytes | None) -> Champion | None:
        """That of a line, by default of `main`; None where something has to be read for it."""
        if line not in self._known:
            self._known[line] = self._look(line.decode() if line else MODEL_LINE)
        return self._known[line]

    def _look(self, line: str) -> Champion | None:
        platform = self._platform.line_at_hand(line)
        model = platform.predict.cached_model() if platform else None
        return Champion(platform.predict, model) if platform and model else None
