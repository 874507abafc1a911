"""CPU seconds of Evidently's functions on the rows in a folder; needs nothing of this project."""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import (
    jensenshannon_stat_test,
    ks_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType

TESTS = (psi_stat_test, ks_stat_test, wasserstein_stat_test, jensenshannon_stat_test)


def main(folder: Path) -> None:
    """Print them for all features and four scores, once."""
    trained, live = (pd.DataFrame(np.load(folder / f"{name}.npy")) for name in ("trained", "live"))
    started = time.process_time()
    for column in trained:
        for test in TESTS:
            test.func(trained[column], live[column], ColumnType.Numerical, 0.1)
    print(time.process_time() - started)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
