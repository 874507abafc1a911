"""Say how many threads Polars has, and a digest of all bits of all built-in features."""

from __future__ import annotations

import hashlib
import sys

import polars as pl
from tests.core.features.frames import bits
from tests.factories import panel

from mlengine.core.features import BUILTIN, compute, latest
from mlengine.core.features.compute import CHUNK_ROWS


def digest_of_all_bits() -> str:
    """Of a panel of more than one chunk."""
    whole, digest = panel(60, rows=CHUNK_ROWS // 60 + 20), hashlib.sha256()
    for feature_set in BUILTIN.values():
        for made in (compute(whole, feature_set), latest(whole, feature_set)):
            digest.update(bits(made).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{pl.thread_pool_size()} {digest_of_all_bits()}\n")
