"""Rows for LightGBM that memory does not hold: read block by block, while they are binned.

What `lightgbm.Dataset` does with an `lgb.Sequence`, with two differences. LightGBM chooses the rows
by which it finds bins by a part of the parameters that leaves out `seed`, and so chooses others
than for a frame: here by all, so that bins and trees are the same. And the chosen rows are let go
of before the others are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from mlengine.core.arrays import Floats

_ZERO = 1e-35  # ZERO_THRESHOLD of LightGBM: what is no further from zero has its bin


class RowBlock(Protocol):
    """Some rows of features, one after the other."""

    def __len__(self) -> int:
        """How many there are, one at least."""

    def read(self) -> Floats:
        """(rows, features), float64, C-contiguous, NaN where undefined; the same each time."""


class BlockDataset(lgb.Dataset):
    """A dataset of blocks with the bins, and so the trees, of one of the same rows in memory."""

    _finds_bins = False

    def get_params(self) -> dict[str, int | float | str | bool]:
        """All of them while bins are found; else those that make a dataset another one."""
        return dict(self.params or {}) if self._finds_bins else super().get_params()

    def construct_from(
        self, blocks: Sequence[RowBlock], labels: Floats, names: Sequence[str]
    ) -> BlockDataset:
        """Bin the rows of all blocks; by the bins of the reference, if there is one."""
        rows = sum(map(len, blocks))
        edges = self.reference.construct()._handle if self.reference else None
        if edges is None:
            self._bin_by_sample(blocks, rows)
        else:
            self._init_from_ref_dataset(rows, edges)
        for block in blocks:
            self._push_rows(block.read())
        self.set_label(labels)
        self.set_feature_name(list(names))
        return self

    def _bin_by_sample(self, blocks: Sequence[RowBlock], rows: int) -> None:
        """LightGBM takes each column without its zeros, which it counts by what is left out."""
        self._finds_bins = True
        chosen = self._create_sample_indices(total_nrow=rows)
        every = np.arange(len(chosen), dtype=np.int32)
        values, places = list[Floats](), list[npt.NDArray[np.int32]]()
        for column in _sample(blocks, chosen):
            kept = ~(np.abs(column) <= _ZERO)
            values.append(column if kept.all() else column[kept])
            places.append(every if kept.all() else every[kept])
        self._init_from_sample(values, places, len(chosen), rows)
        self._finds_bins = False


def _sample(blocks: Sequence[RowBlock], chosen: npt.NDArray[np.int32]) -> Floats:
    """(features, chosen): some rows, ascending, of those of all blocks."""
    ends = np.cumsum([len(block) for block in blocks])
    cuts = np.searchsorted(chosen, [0, *ends]).tolist()
    parts = zip(blocks, pairwise(cuts), [0, *ends], strict=False)
    sample = None
    for block, (first, last), begin in parts:
        if last > first:
            rows = block.read()[chosen[first:last] - begin]
            sample = np.empty((rows.shape[1], len(chosen))) if sample is None else sample
            sample[:, first:last] = rows.T
    return np.empty((0, 0)) if sample is None else sample
