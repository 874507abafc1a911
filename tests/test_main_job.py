"""The main job end to end: bars in, a model trained by a real worker, predictions out."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from tests.factories import random_bars
from tests.patience import patience
from tests.queue_process import QueueProcess
from tests.upstream import LoopbackUpstream

from mlengine.app import create_app
from mlengine.bootstrap.platform import build_platform
from mlengine.config import Settings, environment_for_child

ROOT = Path(__file__).parents[1]
KEY = {"X-API-Key": "a-test-key-of-thirty-two-letters"}
PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def platform() -> Iterator[dict[str, str]]:
    """Queue server, upstream and worker as processes and sockets of their own."""
    with QueueProcess() as queue, LoopbackUpstream() as upstream:
        for symbol in ("AAA", "BBB"):
            upstream.serve(random_bars(symbol, rows=500))
        environ = {
            "ARTIFACTS_DIR": str(queue.artifacts),
            "ADMIN_API_KEY": "a-test-key-of-thirty-two-letters",
            "MARKET_DATA_BASE_URL": upstream.url,
            "TRAIN_SYMBOLS": "AAA,BBB,UNKNOWN",
            "TRAIN_CV_FOLDS": "2",
            "FLASK_SKIP_DOTENV": "1",
            "RATE_LIMIT_REQUESTS": "0",
        }
        build_platform(Settings.from_env(environ)).control.migrate_and_backfill()
        with _worker(environ):
            yield environ


@contextmanager
def _worker(environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "worker.py"], cwd=ROOT, env=environment_for_child(environ)
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def client(platform: dict[str, str]) -> FlaskClient:
    return create_app(Settings.from_env(platform)).test_client()


def train(client: FlaskClient) -> dict[str, Any]:
    """Ask for a training and wait for its end."""
    accepted = client.post("/admin/train", headers=KEY)
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + patience(PATIENCE_SECONDS)
    while time.monotonic() < deadline:
        status = client.get(accepted.headers["Location"], headers=KEY).get_json()
        if status["state"] not in ("queued", "running"):
            return dict(status)
        time.sleep(0.1)
    raise AssertionError(f"still {status}")


def test_a_training_by_the_worker_ends_in_audited_predictions(client: FlaskClient) -> None:
    assert client.get("/ready").status_code == 503
    assert client.get("/predict?symbol=AAA").get_json()["code"] == "no_active_model"

    first = train(client)
    assert (first["state"], first["version"]) == ("succeeded", "v1"), first
    assert first["workers"] == 1

    answer = client.get("/api/v1/predict?symbol=AAA").get_json()
    assert answer["model_version"] == "v1"
    recent = client.get("/predictions/recent").get_json()["predictions"]
    assert recent[0]["prediction_id"] == answer["prediction_id"]
    manifest = client.get("/models/v1").get_json()
    assert manifest["is_active"]
    assert [s["symbol"] for s in manifest["data"]["skipped_symbols"]] == ["UNKNOWN"]
    assert client.get("/ready").status_code == 200

    second = train(client)
    assert (second["state"], second["version"]) == ("succeeded", "v2"), second
    models = client.get("/models").get_json()
    assert models["active_version"] == "v1", "the same recipe gives the same model"
    assert [model["version"] for model in models["models"]] == ["v1", "v2"]

    batch = client.post("/predict/batch", json={"symbols": ["BBB", "UNKNOWN", "AAA"]}).get_json()
    assert [item["status"] for item in batch["results"]] == ["ok", "error", "ok"]
    assert batch["results"][2]["probability_up"] == answer["probability_up"]
    health = client.get("/health").get_json()
    assert (health["status"], set(health["checks"].values())) == ("ok", {"ok"})
