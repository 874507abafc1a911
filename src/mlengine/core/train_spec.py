"""What a training is asked to do: the recipe that a run records and a worker carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlengine.core import wire

OBJECTIVES = ("direction", "return")
ACTIVATIONS = ("always", "if_better", "if_not_worse", "never")
REFITS = ("none", "full")


@dataclass(frozen=True)
class TrainSpec:
    """`lookback` in bars a symbol (0 = all), `test_size` a share of the dates."""

    symbols: tuple[str, ...]
    lookback: int
    test_size: float
    seed: int
    folds: int
    horizon_bars: int
    embargo_bars: int
    objective: str
    feature_set: str
    activate: str
    refit: str
    label_delay_bars: int
    interval: str

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values; the inverse of `from_dict`."""
        return {**wire.plain(self)}  # type: ignore[dict-item]

    @classmethod
    def from_dict(cls, said: Mapping[str, object]) -> TrainSpec:
        """Raises ValueError on a missing or unknown field, or a value of another type."""
        return wire.read(cls, said)
