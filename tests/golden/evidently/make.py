"""Writes Evidently's scores of small samples: `python tests/golden/evidently/make.py`.

Run it with the Python of an environment that has `evidently==0.7.*` and `pandas<3`, and needs
nothing of this project. The samples stand in the file beside the scores.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import evidently
import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import (
    jensenshannon_stat_test,
    ks_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType

HERE = Path(__file__).parent
TESTS = {
    "psi": psi_stat_test,
    "ks_p_value": ks_stat_test,
    "wasserstein": wasserstein_stat_test,
    "jensen_shannon": jensenshannon_stat_test,
}


def samples() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reference and current by name, six digits each."""
    rng = np.random.default_rng(7)
    holes = rng.normal(size=200)
    holes[::7], holes[3] = math.nan, math.inf
    return {
        "shifted": (rng.normal(size=300), rng.normal(0.3, 1.2, 120)),
        "heavy tail": (rng.standard_t(2, 400), rng.standard_t(2, 90)),
        "twenty values": (
            rng.integers(0, 20, 300).astype(float),
            rng.integers(5, 24, 80).astype(float),
        ),
        "few values": (rng.integers(0, 3, 150).astype(float), rng.integers(0, 5, 60).astype(float)),
        "constant": (np.full(60, 2.0), np.full(50, 2.0)),
        "constant moves": (np.full(60, 2.0), np.full(50, 2.5)),
        "holes": (holes, rng.normal(size=70)),
        "small and far": (rng.normal(0.0, 1e-5, 100), rng.normal(1e-3, 1e-5, 40)),
        "large level": (rng.normal(60_000.0, 5.0, 250), rng.normal(60_001.0, 5.0, 100)),
    }


def scores(reference: np.ndarray, current: np.ndarray) -> dict[str, float]:
    """As its report gives them, over finite values."""
    ours, theirs = (
        pd.SeriesMetadata(side).replace([np.inf, -np.inf], np.nan).dropna()
        for side in (reference, current)
    )
    return {
        name: float(test.func(ours, theirs, ColumnType.Numerical, 0.1)[0])
        for name, test in TESTS.items()
    }


def main() -> None:
    found = []
    for name, pair in samples().items():
        ours, theirs = (np.round(side, 9) for side in pair)
        written = {"reference": _plain(ours), "current": _plain(theirs)}
        found.append({"name": name, **written, "scores": scores(ours, theirs)})
    text = json.dumps(found, indent=0) + "\n"
    (HERE / "scores.json").write_text(text)
    metadata = {
        "what": "drift scores of Evidently and the samples that they are of; null is NaN",
        "made_by": "python tests/golden/evidently/make.py",
        "from": f"evidently {evidently.__version__}, pandas {pd.__version__}",
        "tolerance": "1e-12",
        "sha256": {"scores.json": hashlib.sha256(text.encode()).hexdigest()},
    }
    (HERE / "metadata.json").write_text(json.dumps(metadata, indent=1) + "\n")


def _plain(values: np.ndarray) -> list[float | str | None]:
    return [None if math.isnan(v) else "inf" if math.isinf(v) else v for v in values.tolist()]


if __name__ == "__main__":
    main()
