"""The counts of one date in the database: whole numbers, compressed."""

import zlib
from collections.abc import Sequence

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.grid import GRID_BINS
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.errors import DamagedRow

_BYTES = 4


def encode_date(tallies: DateTallies, at: int) -> bytes:
    """The bins, repeats and values out of range of the date at this position."""
    parts = (tallies.bins[at].ravel(), tallies.repeats[at], tallies.outside[at])
    return zlib.compress(np.concatenate(parts).astype("<u4").tobytes(), 1)


def decode_dates(dates: Sequence[tuple[int, int, int, bytes]], *, features: int) -> DateTallies:
    """From date, rows, distinct rows and payload of each; raises DamagedRow."""
    counts = np.empty((len(dates), features * (GRID_BINS + 2)))
    for row, (*_, payload) in zip(counts, dates, strict=True):
        row[:] = _decode(payload, len(row))
    numbers = np.array([each[:3] for each in dates], np.int64).reshape(len(dates), 3)
    bins = counts[:, : features * GRID_BINS].reshape(len(dates), features, GRID_BINS)
    repeats, outside = np.split(counts[:, features * GRID_BINS :], 2, axis=1)
    rows, distinct = numbers[:, 1].astype(np.float64), numbers[:, 2].astype(np.float64)
    return DateTallies.of_counts(numbers[:, 0], rows, distinct, bins, repeats, outside)


def _decode(payload: bytes, count: int) -> Floats:
    """No more is unpacked than there can be."""
    try:
        content = zlib.decompressobj().decompress(payload, count * _BYTES + 1)
    except (TypeError, zlib.error):
        raise DamagedRow from None
    if len(content) != count * _BYTES:
        raise DamagedRow
    return np.frombuffer(content, "<u4").astype(np.float64)
