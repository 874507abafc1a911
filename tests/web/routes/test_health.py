from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from tests.web.http.test_errors import problem
from tests.web.platform import FakeHealthService, FakePlatform

from mlengine.app import create_app
from mlengine.config import Settings
from mlengine.errors import ArtifactCorrupt, DatabaseUnavailable, MlengineError, NoActiveModel


@dataclass(frozen=True)
class Unwell(FakePlatform):
    refusal: MlengineError = dataclasses.field(default_factory=NoActiveModel)

    @property
    def health(self) -> FakeHealthService:
        return FakeHealthService(self.states, [self.refusal])


def test_health_has_the_fields_of_the_contract(client: FlaskClient, tiny: FakePlatform) -> None:
    tiny.states.record("upstream", "down")
    for path in ("/health", "/api/v1/health", "/health?ts=1"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.get_json() == {
            "status": "ok",
            "version": "0.1.0",
            "env": "staging",
            "model": {"active_version": "v2", "loaded_version": "v2"},
            "checks": {
                "redis": "unknown",
                "audit": "unknown",
                "upstream": "down",
                "workers": "unknown",
                "model": "unknown",
            },
            "audit_spool": {"files": 0, "bytes": 0, "spooled_rows": 0},
            "refused_files": [],
        }


def test_ready_names_the_model_that_serves(client: FlaskClient) -> None:
    assert client.get("/ready").get_json() == {"status": "ready", "model_version": "v2"}


@pytest.mark.parametrize(
    "refusal", [NoActiveModel(), ArtifactCorrupt("v2", "bad digest"), DatabaseUnavailable("full")]
)
def test_not_ready_is_a_503_problem(
    make_settings: Callable[..., Settings], refusal: MlengineError
) -> None:
    client = create_app(make_settings(), platform=Unwell(refusal=refusal)).test_client()  # type: ignore[arg-type]
    for path in ("/ready", "/api/v1/ready"):
        problem(client.get(path), 503, refusal.code)
    assert client.get("/health").status_code == 200
