"""The collector of cycles, when a test wants it."""

import gc
import warnings


def collect() -> None:
    """Collect all there is; of what earlier tests have left nobody is warned here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
