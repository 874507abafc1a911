"""What a training is asked to do: the recipe that a run records and a worker carries out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlengine.core import serialization

OBJECTIVES = ("direction", "return")
LABELS = ("raw", "cs_zscore")
ACTIVATIONS = ("always", "if_better", "if_not_worse", "never")
REFITS = ("none", "full")
LIGHTGBM, DASK = "lightgbm", "dask"
ENGINES = (LIGHTGBM, DASK)

_NO_RECIPE = frozenset(
    {"activate", "cost_bps", "folds", "gate_margin", "gate_min_dates", "min_symbols", "note"}
)

Param = bool | int | float | str


@dataclass(frozen=True)
class TrainSpec:
    """`lookback` in bars a symbol (0 = all), `test_size` a share of the dates.

    Symbols without usable bars are skipped, unless fewer than `min_symbols` are left.

    `train_window` is how many dates before each boundary are trained on (0 = all of them).
    `params` are LightGBM parameters on top of the built-in ones, `rounds` the most trees.
    `cost_bps` is what one unit of turnover costs, `universe_file` a table of symbol, from, to.
    `gate_min_dates` and `gate_margin` steer the promotion; `note` is the owner's own. `engine` says
    where the trees are fitted: in one process, or by the workers of a Dask cluster.
    """

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
    label: str = "raw"
    train_window: int = 0
    rounds: int = 300
    params: Mapping[str, Param] = field(default_factory=dict)
    gate_min_dates: int = 250
    gate_margin: float = 0.001
    cost_bps: float = 5.0
    universe_file: str | None = None
    note: str | None = None
    min_symbols: int = field(default=1, metadata=serialization.OPTIONAL)
    engine: str = field(default=LIGHTGBM, metadata=serialization.OPTIONAL)

    @property
    def is_reproducible(self) -> bool:
        """Whether the same bars give the same trees: workers of a cluster add up in any order."""
        return self.engine == LIGHTGBM

    @property
    def is_activated_by_hand(self) -> bool:
        """Whether no version of it ever serves before a person says so."""
        return self.activate == "never" or not self.is_reproducible

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values; the inverse of `from_dict`."""
        return {**serialization.to_plain(self)}  # type: ignore[dict-item]

    def recipe_sha256(self, feature_set_hash: str) -> str:
        """A digest of what shapes a model: two trainings with the same one are the same try.

        Who is promoted, what is noted, and the folds beside the holdout have no part in it.
        """
        fields = {name: value for name, value in self.to_dict().items() if name not in _NO_RECIPE}
        text = json.dumps([fields, feature_set_hash], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> TrainSpec:
        """Raises ValueError on a missing or unknown field, or a value of another type."""
        return serialization.from_plain(cls, fields)
