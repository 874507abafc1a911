"""`flask limiter …`, which the rate limit's own package brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup
from tests.patience import patience
from tests.platforms import make_platform, settings
from tests.queue_process import QueueProcess

from mlengine.app import create_app
from mlengine.web.http import limits

ROOT = Path(__file__).parents[2]
WIDE = {"COLUMNS": "200"}


def make_app_at(folder: Path, queue_url: str) -> Flask:
    chosen = settings(folder, RATE_LIMIT_REQUESTS="5", REDIS_URL=queue_url)
    return create_app(chosen, platform=make_platform(folder))


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(limits, "_TIMEOUT_SECONDS", patience(0.1))
    with QueueProcess() as queue:
        yield make_app_at(tmp_path, queue.url)


def said(app: Flask, *arguments: str) -> str:
    flask = FlaskGroup(create_app=lambda: app, load_dotenv=False)
    result = CliRunner(env=WIDE).invoke(flask, ["limiter", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_limits_of_every_route_are_listed(app: Flask) -> None:
    listed = said(app, "limits")
    assert "5 per 60 second" in listed
    assert "predict.predict: /predict" in listed
    assert "Exempt" in listed


def test_the_storage_is_shown_and_answers(app: Flask) -> None:
    shown = said(app, "config")
    assert "FallbackRateLimitStorage" in shown
    assert "SlidingWindowCounterRateLimiter" in shown
    assert "OK" in shown


@pytest.mark.parametrize(
    "url",
    ["redis://ann:s3cret@127.0.0.1:1/0", "redis://127.0.0.1:1/0?username=ann&password=s3cret"],
)
def test_the_storage_is_shown_without_its_password(tmp_path: Path, url: str) -> None:
    shown = said(make_app_at(tmp_path, url), "config")
    assert "127.0.0.1:1/0" in shown
    assert "s3cret" not in shown


def test_what_an_address_has_left_is_shown_and_can_be_given_back(app: Flask) -> None:
    client = app.test_client()
    assert [client.get("/models").status_code for _ in range(6)] == [200] * 5 + [429]
    asked = ("--key", "127.0.0.1")
    assert "Fail (0 out of 5 remaining)" in said(app, "limits", *asked)
    said(app, "clear", *asked, "-y")
    assert "Pass (5 out of 5 remaining)" in said(app, "limits", *asked)
    assert client.get("/models").status_code == 200


def test_what_the_commands_need_is_installed_with_the_platform() -> None:
    assert "\nrich==" in (ROOT / "requirements.lock").read_text()
