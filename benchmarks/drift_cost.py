"""What drift costs: `python -m benchmarks.drift_cost [PYTHON]`. CPU seconds, the least of three.

Four distances (PSI, Kolmogorov-Smirnov, Wasserstein, Jensen-Shannon) of 158 features between
250,000 rows of training and 40,000 live ones: first, and from what a training stores. With the
PYTHON of an environment that has `evidently==0.7.*` and `pandas<3`, its functions on the same rows
in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.distances import SortedSample, distances, sort_columns
from mlengine.core.monitoring.drift.evidently import evidently_scores
from mlengine.core.monitoring.drift.sketch import sketch

FEATURES, REFERENCE, LIVE = 158, 250_000, 40_000
THEIRS = Path(__file__).with_name("evidently_cost.py")


def main(evidently: str | None = None) -> None:
    """Print one line a way."""
    rng = np.random.default_rng(0)
    trained, live = (rng.standard_t(3, (rows, FEATURES)) for rows in (REFERENCE, LIVE))
    full = sort_columns(trained)
    kept = _stored(full)
    print(f"{FEATURES} features, {REFERENCE:,} and {LIVE:,} rows, CPU seconds, least of three")
    ours = _least(lambda: _compare(_stored(sort_columns(trained)), live))
    print(f"first: rows sorted, sketched, compared   {ours:.2f}")
    print(f"stored: live rows against the sketch     {_least(lambda: _compare(kept, live)):.2f}")
    print(f"live rows against all sorted rows        {_least(lambda: _compare(full, live)):.2f}")
    same = _least(lambda: _evidently(sort_columns(trained), live))
    print(f"the scores of Evidently, rows sorted too {same:.2f}")
    if evidently:
        theirs = _seconds_of_evidently(evidently, trained, live)
        print(f"its own functions                        {theirs:.2f}")
        print(f"times faster: first {theirs / ours:.0f}, its scores {theirs / same:.0f}")


def _stored(samples: Sequence[SortedSample]) -> tuple[SortedSample, ...]:
    frame = sketch({str(at): each for at, each in enumerate(samples)}, rows=REFERENCE)
    return sort_columns(frame.drop("rows_behind").to_numpy())


def _compare(reference: Sequence[SortedSample], live: Floats) -> None:
    for pair in zip(reference, sort_columns(live), strict=True):
        distances(*pair)


def _evidently(reference: Sequence[SortedSample], live: Floats) -> None:
    for pair in zip(reference, sort_columns(live), strict=True):
        evidently_scores(*pair)


def _least(of: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        started = time.process_time()
        of()
        seconds.append(time.process_time() - started)
    return min(seconds)


def _seconds_of_evidently(python: str, trained: Floats, live: Floats) -> float:
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("trained", trained), ("live", live)):
            np.save(Path(folder) / f"{name}.npy", rows)
        done = subprocess.run([python, THEIRS, folder], check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:2])
