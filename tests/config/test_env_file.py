from __future__ import annotations

from pathlib import Path

import pytest

from mlengine import config
from mlengine.config.env_file import load_env_file
from mlengine.errors import CannotStart


@pytest.fixture(autouse=True)
def _outside_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a platform is started; what the file adds is taken back at the end."""
    monkeypatch.delenv("FLASK_SKIP_DOTENV")
    for name in ("LOG_LEVEL", "ADMIN_API_KEY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\nADMIN_API_KEY=a${HOME}b\n")
    load_env_file(tmp_path)
    settings = config.load_from_environment()
    assert settings.log_level == "ERROR"
    assert settings.admin_api_keys == {"admin": "a${HOME}b"}


def test_a_folder_without_the_file_adds_nothing(tmp_path: Path) -> None:
    before = config.environment_for_child({})
    load_env_file(tmp_path)
    assert config.environment_for_child({}) == before


def test_tests_never_load_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")
    (tmp_path / ".env").write_text("LOG_LEVEL=ERROR\n")
    load_env_file(tmp_path)
    assert config.load_from_environment().log_level == "DEBUG"


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CannotStart, match="can't be read as text"):
        load_env_file(tmp_path)
