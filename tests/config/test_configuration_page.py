"""docs/configuration.md and .env.example are what the script writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tests.settings_read import settings_read

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "configuration_page.py"
    spec = importlib.util.spec_from_file_location("configuration_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_and_the_example_are_current(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(check=True) == 0, "python scripts/configuration_page.py"
    assert capsys.readouterr().out == ""


def test_the_page_has_a_row_with_a_meaning_for_every_variable(script: ModuleType) -> None:
    page = script.page(script.SOURCE.read_text())
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`") for row in rows} == settings_read()
    assert all(len(row) == 4 and row[3] for row in rows)


def test_the_page_says_what_each_profile_logs(script: ModuleType) -> None:
    (row,) = (
        line for line in script.page(script.SOURCE.read_text()).splitlines() if "`LOG_LEVEL" in line
    )
    assert "| `DEBUG`; staging `INFO`; production `WARNING` |" in row
    assert "| `DEBUG`, `INFO`, `WARNING`, `ERROR` |" in row


def test_a_page_that_is_stale_is_named_and_written_anew(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    assert script.main(check=True) == 1
    assert ".env.example is not current" in capsys.readouterr().out
    assert script.main(check=False) == 0
    assert script.main(check=True) == 0
