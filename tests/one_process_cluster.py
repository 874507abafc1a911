"""A cluster for fits that is this process: what a real one does, without its sums by machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.boosting.binning import LabelledRows
from mlengine.core.boosting.model import LightGBMConfig, fit


@dataclass
class OneProcessCluster:
    """`rows` counts the rows of each fit."""

    rows: list[int] = field(default_factory=list)

    def fit(
        self,
        config: LightGBMConfig,
        *,
        names: tuple[str, ...],
        blocks: Iterable[tuple[Floats, Floats]],
        meanwhile: Callable[[], None],
    ) -> str:
        """See FitCluster."""
        features, labels = (np.concatenate(each) for each in zip(*blocks, strict=True))
        self.rows.append(len(labels))
        meanwhile()
        train = LabelledRows(features, labels)
        return fit(config, names=names, train=train, early_stop=None).text
