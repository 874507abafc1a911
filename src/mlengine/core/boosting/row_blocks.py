"""Rows for LightGBM that memory does not hold: read block by block, while they are binned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import lightgbm as lgb

from mlengine.core.arrays import Floats


class RowBlock(Protocol):
    """Some rows of features, one after the other."""

    def __len__(self) -> int:
        """How many there are, one at least."""

    def read(self) -> Floats:
        """(rows, features), float64, C-contiguous, NaN where undefined; the same each time."""


class BlockDataset(lgb.Dataset):
    """A dataset of sequences with the bins, and so the trees, of one of the same rows in memory.

    LightGBM reads sequences twice: the rows by which it finds its bins, then all. It chooses the
    first by a part of the parameters that leaves out `seed`, and so chooses others than it would
    for a frame.
    """

    def get_params(self) -> dict[str, int | float | str | bool]:
        """All of them."""
        return dict(self.params or {})


def sequences(blocks: Sequence[RowBlock]) -> list[lgb.Sequence]:
    """What LightGBM reads; at most one block is in memory at a time."""
    newest = _NewestBlock()
    return [_BlockSequence(block, newest) for block in blocks]


class _NewestBlock:
    """The block that was read last, since LightGBM asks for one row after the other."""

    def __init__(self) -> None:
        self._block: RowBlock | None = None
        self._rows: Floats | None = None

    def read(self, block: RowBlock) -> Floats:
        if self._block is not block or self._rows is None:
            self._rows = None  # before the next is there
            self._rows, self._block = block.read(), block
        return self._rows


class _BlockSequence(lgb.Sequence):
    def __init__(self, block: RowBlock, newest: _NewestBlock) -> None:
        self._block, self._newest = block, newest
        self.batch_size = len(block)

    def __getitem__(self, at: int | slice | list[int]) -> Floats:
        return self._newest.read(self._block)[at]

    def __len__(self) -> int:
        return len(self._block)
