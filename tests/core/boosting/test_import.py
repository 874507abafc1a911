"""LightGBM is imported without pandas, which may well be installed beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("module", ["mlengine.app", "mlengine.core.boosting.model"])
def test_pandas_is_not_loaded_where_it_is_installed(tmp_path: Path, module: str) -> None:
    (tmp_path / "pandas.py").write_text("raise SystemExit('pandas was imported')\n")
    script = f"import {module}, lightgbm, sys; sys.exit('pandas' in sys.modules)"
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


def test_pandas_can_be_imported_afterwards(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("")
    script = "import mlengine.core.boosting, pandas; print(pandas.__file__)"
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stdout.strip() == str(tmp_path / "pandas.py")
