"""Arrays by name as one file, in the format of NumPy's archives, and never as objects."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mlengine.stores.system.strict_files import DamagedFile

# What the readers of a zip file, and of an array in one, raise on bytes that are none.
_DAMAGES = (
    *(OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, NotImplementedError),
    *(RuntimeError, OverflowError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile),
)
Array = npt.NDArray[np.generic]


def to_archive(arrays: Mapping[str, Array]) -> bytes:
    """The same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def from_archive(content: bytes) -> dict[str, Array]:
    """The inverse of `to_archive`; raises DamagedFile on anything else, objects among it."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _DAMAGES:
        raise DamagedFile("it is no archive of arrays") from None
