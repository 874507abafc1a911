"""Alpha158 by Microsoft Qlib's own loader: `python -m benchmarks.qlib_loader STORE VALUES`.

Runs where pyqlib is installed. Prints JSON: seconds, CPU seconds, the memory of the largest
process; writes the features to the file VALUES, rows by symbol and day. Qlib's own default is two
processes fewer than the machine has cores; here it gets as many as there are.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import numpy as np
import qlib
from qlib.contrib.data.loader import Alpha158DL


def main() -> None:
    store, values = sys.argv[1:]
    qlib.init(provider_uri=store, kernels=os.cpu_count(), logging_level="ERROR")
    loader = Alpha158DL()
    # What is compiled and imported at first use is not counted.
    loader.load(instruments=["S0000", "S0001"], end_time="2010-04-30")
    wall, cpu = time.perf_counter(), _cpu_seconds()
    frame = loader.load(instruments="all")
    spent = {"seconds": time.perf_counter() - wall, "cpu": _cpu_seconds() - cpu}
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(who).ru_maxrss for who in whose) * 1024 / 1e9
    by_symbol = frame.swaplevel().sort_index()
    np.save(values, by_symbol.to_numpy(dtype=np.float32))
    names = [str(name) for _, name in frame.columns]
    print(json.dumps({**spent, "gigabytes": peak, "version": qlib.__version__, "names": names}))


def _cpu_seconds() -> float:
    """Of this process and of those that it has seen end."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
