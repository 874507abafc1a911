"""Names for the arrays that the numeric part passes around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
# Row numbers, and moments as microseconds of the epoch.
Rows = npt.NDArray[np.int64]
