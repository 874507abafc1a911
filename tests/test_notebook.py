from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.platforms import make_platform
from tests.services.trained import train

PAGE = Path(__file__).parents[1] / "docs" / "notebook.md"


@pytest.mark.parametrize("refit", ["none", "full"])
def test_the_notebook_gets_the_manifests_metrics_to_the_last_digit(
    tmp_path: Path, refit: str
) -> None:
    platform = make_platform(tmp_path, models=0)
    manifest = train(platform, refit=refit)
    platform.reproduction.export_dataset("v1", tmp_path / "v1.parquet")
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    auc = manifest.metrics["auc"].value
    assert lines["auc"] == f"{auc} {auc}"
