"""LightGBM is imported without pandas, which may well be installed beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_pandas_is_not_loaded_where_it_is_installed_and_can_be_afterwards(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("")
    script = (
        "import mlengine.core.boosting.model, lightgbm, sys; assert 'pandas' not in sys.modules\n"
        "import pandas; print(pandas.__file__)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stdout.strip() == str(tmp_path / "pandas.py")
