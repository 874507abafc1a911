from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from tests.web.conftest import MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakeHealthService, FakePlatform

from mlengine.app import create_app
from mlengine.config import Settings
from mlengine.errors import ArtifactCorrupt, DatabaseUnavailable, MlengineError, NoActiveModel
from mlengine.web.serving.probes import probe_executors

LIVE = ("/health", "/livez", "/v2/health/live")
READY = ("/ready", "/readyz", "/v2/health/ready")


@dataclass(frozen=True)
class Unwell(FakePlatform):
    refusal: MlengineError = dataclasses.field(default_factory=NoActiveModel)

    @property
    def health(self) -> FakeHealthService:
        return FakeHealthService(self.states, [self.refusal])


def test_health_has_the_fields_of_the_contract(client: FlaskClient, tiny: FakePlatform) -> None:
    tiny.states.record("upstream", "down")
    for path in ("/health", "/api/v1/health", "/health?ts=1", "/livez", "/v2/health/live"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.get_json() == {
            "status": "ok",
            "version": "0.1.0",
            "env": "staging",
            "model": {
                "active_version": "v2",
                "loaded_version": "v2",
                "ageing_from": None,
                "too_old_from": None,
            },
            "checks": {
                "redis": "unknown",
                "audit": "unknown",
                "upstream": "down",
                "workers": "unknown",
                "model": "unknown",
            },
            "audit_spool": {"files": 0, "bytes": 0, "spooled_rows": 0},
            "refused_files": [],
            "clock_skew_seconds": None,
            "lines": [],
        }


def test_ready_names_the_model_that_serves(client: FlaskClient) -> None:
    for path in READY:
        assert client.get(path).get_json() == {"status": "ready", "model_version": "v2"}


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_every_name_has_the_thread_of_its_probe(make_app: MakeApp, prefix: str) -> None:
    app = make_app()
    executors = probe_executors(app)
    for names in (LIVE, READY):
        threads = {id(executors[f"{prefix}{name}"]) for name in names}
        assert len(threads) == 1
        for name in names:
            head = app.test_client().head(f"{prefix}{name}")
            assert (head.status_code, head.data) == (200, b"")
            assert "RateLimit" not in str(head.headers)
    assert executors[f"{prefix}/livez"] is not executors[f"{prefix}/readyz"]


@pytest.mark.parametrize(
    "refusal", [NoActiveModel(), ArtifactCorrupt("v2", "bad digest"), DatabaseUnavailable("full")]
)
def test_not_ready_is_a_503_problem(
    make_settings: Callable[..., Settings], refusal: MlengineError
) -> None:
    client = create_app(make_settings(), platform=Unwell(refusal=refusal)).test_client()  # type: ignore[arg-type]
    for path in READY:
        problem(client.get(path), 503, refusal.code)
        assert client.head(path).status_code == 503

    assert client.get("/health").status_code == 200
