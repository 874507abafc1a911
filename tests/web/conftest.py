"""The HTTP door over a platform in memory; logs are JSON lines on standard error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.patience import patience
from tests.web.conformance import ConformingClient
from tests.web.platform import FakePlatform

from mlengine.app import create_app
from mlengine.bootstrap.keys import build_key_ring
from mlengine.config import Settings
from mlengine.services.keys.authentication import Authentication
from mlengine.web.http import limits

KEY = {"X-API-Key": "a-test-key-of-thirty-two-letters"}

MakeApp = Callable[..., Flask]


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def tiny() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
def make_app(
    make_settings: Callable[..., Settings], tiny: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> MakeApp:
    """The app with some variables changed; its answers must be those of the document."""

    def make(**changed: str) -> Flask:
        if not changed.keys().isdisjoint(["REDIS_URL", "ARTIFACTS_DIR"]):
            monkeypatch.setattr(limits, "_TIMEOUT_SECONDS", patience(0.1))
        settings = make_settings(**{"ENV": "staging", **changed})
        keys = Authentication(settings.admin_api_keys, build_key_ring(settings))
        app = create_app(settings, platform=replace(tiny, keys=keys))  # type: ignore[arg-type]
        app.test_client_class = ConformingClient
        return app

    return make


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, object]]]:
    """What was logged since the last call, each line parsed."""

    def read() -> list[dict[str, object]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return read
