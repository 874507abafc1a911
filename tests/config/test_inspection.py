from __future__ import annotations

from pathlib import Path

import pytest

from mlengine.config.inspection import SettingsInspection, inspect_settings
from mlengine.config.redaction import redact


@pytest.fixture(autouse=True)
def _outside_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASK_SKIP_DOTENV")


def value(inspection: SettingsInspection, name: str) -> tuple[str, str]:
    (found,) = (each for each in inspection.values if each.name == name)
    return found.value, found.source


def test_each_value_comes_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=8001\nHOST=0.0.0.0\nWEB_WORKERS=\nTRAIN_SYMBOL=A\n")
    monkeypatch.setenv("HOST", "127.0.0.2")
    inspection = inspect_settings(tmp_path)
    assert value(inspection, "PORT") == ("8001", ".env")
    assert value(inspection, "HOST") == ("127.0.0.2", "environment")
    assert value(inspection, "WEB_WORKERS") == ("2", "default")
    assert value(inspection, "LOG_LEVEL") == ("DEBUG", "default")
    assert inspection.settings.port == 8001
    assert (inspection.problems, inspection.unknown) == ((), ("TRAIN_SYMBOL",))


def test_every_bad_value_is_named_and_has_its_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENV=production\nPORT=x\nTRAIN_SCHEDULE=daily\n")
    inspection = inspect_settings(tmp_path)
    assert [str(problem).partition("=")[0] for problem in inspection.problems] == [
        "TRAIN_SCHEDULE",
        "PORT",
        "MARKET_DATA_BASE_URL",
    ]
    assert (inspection.settings.port, inspection.settings.train_schedule) == (8000, None)
    assert value(inspection, "PORT") == ("x", ".env")


def test_a_file_that_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    (problem,) = inspect_settings(tmp_path).problems
    assert "can't be read as text" in str(problem)


@pytest.mark.parametrize(
    ("keys", "redacted"),
    [("s3cret", "admin:…"), ("ann:s3cret,bob:s3cret", "ann:…,bob:…"), (":s3cret", "…")],
)
def test_keys_are_never_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, redacted: str
) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", keys)
    inspection = inspect_settings(tmp_path)
    assert value(inspection, "ADMIN_API_KEY") == (redacted, "environment")
    assert "s3cret" not in "".join(map(str, inspection.problems))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("redis://ann:s3cret@host:1/0", "redis://…@host:1/0"),
        ("postgresql+psycopg://ann:a@b/s3cret@host/db", "postgresql+psycopg://…@host/db"),
        ("https://s3cret@host/v1", "https://…@host/v1"),
        ("https://host/v1?api_key=s3cret&x=1", "https://host/v1?api_key=…&x=1"),
        ("sqlite:////data/audit.db", "sqlite:////data/audit.db"),
        ("X='ftp://a:s3cret@host': expected one", "X='ftp://…@host': expected one"),
    ],
)
def test_addresses_lose_their_secrets(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_the_key_of_a_service_is_in_no_value_and_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_DATA_API_KEY", "s3cret")
    monkeypatch.setenv("MARKET_DATA_BASE_URL", "https://ann:s3cret@host/v1?t=s3cret")
    inspection = inspect_settings(tmp_path)
    assert value(inspection, "MARKET_DATA_API_KEY") == ("…", "environment")
    assert value(inspection, "MARKET_DATA_BASE_URL") == ("https://…@host/v1?…", "environment")
    (problem,) = inspection.problems
    assert str(problem).startswith("MARKET_DATA_BASE_URL='…': expected an http:// or https://")
    assert "s3cret" not in f"{inspection.values}{inspection.settings}"
