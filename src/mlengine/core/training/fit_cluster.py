"""Fits by a cluster of machines, for rows that the memory of one does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from mlengine.core.arrays import Floats
from mlengine.core.boosting.model import LightGBMConfig


class FitCluster(Protocol):
    """Machines that fit one model together, each on a part of the rows."""

    def fit(
        self,
        config: LightGBMConfig,
        *,
        names: tuple[str, ...],
        blocks: Iterable[tuple[Floats, Floats]],
        meanwhile: Callable[[], None],
    ) -> str:
        """All rounds of `config` as LightGBM text; its trees may be others each time.

        `blocks` are rows and labels, (rows, features) and (rows,), NaN where undefined, in the
        order of time. `meanwhile` is called every moment until the end; what it raises ends the
        fit. Raises TrainingFailed where the cluster can't.
        """
