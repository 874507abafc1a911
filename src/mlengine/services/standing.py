"""Answers that stand but for their score, until there are other bars or another model."""

from __future__ import annotations

from dataclasses import dataclass

from mlengine.core.arrays import Floats
from mlengine.core.bar_window import BarWindow
from mlengine.stores.audit_entries import Answered
from mlengine.stores.loaded import LoadedModel

_MOST_SYMBOLS = 1_000  # each keeps its bars in memory


@dataclass(frozen=True, eq=False)
class Standing:
    """The last answer to a plain question that was made from the ground up, and out of what."""

    answer: Answered
    model: LoadedModel
    known: BarWindow
    row: Floats


class StandingAnswers:
    """One a symbol; bounded, and safe for threads."""

    def __init__(self) -> None:
        self._standing: dict[str, Standing] = {}

    def get(self, symbol: str, *, model: LoadedModel, known: BarWindow) -> Standing | None:
        """The answer that was made of these very objects, if any."""
        found = self._standing.get(symbol)
        return found if found and found.model is model and found.known is known else None

    def keep(self, symbol: str, standing: Standing) -> None:
        """In place of an older one of the symbol."""
        if len(self._standing) >= _MOST_SYMBOLS:
            self._standing.clear()
        self._standing[symbol] = standing
