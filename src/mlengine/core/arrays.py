"""Names for the arrays and numbers that the numeric part passes around."""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]  # row numbers
Moments = npt.NDArray[np.int64]  # microseconds of the epoch


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
