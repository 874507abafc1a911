"""Folders of mlengine 0.1.0, as its own code left them, under the present code."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.older_platforms import (
    ERAS,
    KEY,
    ROOT,
    SYMBOLS,
    RunningPlatform,
    extract,
    last_commit,
    running,
    write_bars,
)
from tests.training_rig import say

from mlengine import config
from mlengine.app import create_app
from mlengine.bootstrap.platform import build_platform
from mlengine.config import Settings
from mlengine.stores.registry.registry import Registry

_KEY = {"X-API-Key": KEY}
GOLDEN = ROOT / "tests/golden/older_artifacts"


@pytest.fixture(params=ERAS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What a platform of each era left: one version, two symbols' answers, failures, a queue."""
    with tarfile.open(GOLDEN / f"{request.param}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    write_bars(tmp_path / "bars")
    return tmp_path


def _environ(folder: Path) -> dict[str, str]:
    return {
        "ADMIN_API_KEY": KEY,
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "MARKET_DATA_DIR": str(folder / "bars"),
        "RATE_LIMIT_REQUESTS": "0",
    }


def test_versions_audit_and_replays_outlive_an_upgrade(folder: Path) -> None:
    settings = Settings.from_env(_environ(folder))
    platform = build_platform(settings)
    platform.control.migrate_and_backfill()
    client = create_app(settings, platform).test_client()
    (version,) = client.get("/models").json["models"]
    assert (version["version"], version["status"]) == ("v1", "active")
    assert client.get("/models/v1").json["fingerprint"] == version["fingerprint"]
    assert all(check.intact for check in platform.maintenance.verify().versions)
    rows = client.get("/predictions/recent").json["predictions"]
    assert sorted(row["symbol"] for row in rows) == ["AAA", "AAA", "BBB", "CCC", "NONE", "NONE"]
    answered = {row["symbol"]: row for row in rows if row["symbol"] != "NONE"}
    for row in answered.values():
        replay = client.post(f"/predictions/{row['prediction_id']}/replay", headers=_KEY).json
        assert replay["status"] == "identical", replay
    again = client.get("/predict?symbol=CCC").json
    for name in ("probability_up", "bars_hash", "bar_timestamp"):
        assert again[name] == answered["CCC"][name]
    platform.control.database.dispose()


def test_a_version_of_the_first_schema_says_what_it_lacks(tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / "first_manifests.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    manifest = Registry(tmp_path / "artifacts/models/main").manifest("v1")
    assert manifest.spec.symbols == ("AAA", "BBB")
    assert (manifest.spec.lookback, manifest.spec.test_size) == (280, 0.1)
    assert {estimate.reason for estimate in manifest.metrics.values()} == {
        "no interval was computed"
    }
    assert "schema 1" in manifest.remarks[-1]
    assert manifest.sign_rule.net_return is None


@pytest.mark.parametrize(
    "folder",
    ["first_manifests", pytest.param("second_manifests", marks=pytest.mark.soak)],
    indirect=True,
)
def test_commands_upgrade_a_folder_and_verify_it(folder: Path) -> None:
    for command in ("migrate", "models verify", "audit replay"):
        done = subprocess.run(
            [sys.executable, "-m", "mlengine", *command.split()],
            env=config.environment_for_child(_environ(folder)),
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert re.search(r"^identical +4$", done.stdout, re.MULTILINE)


def _answers(platform: RunningPlatform) -> list[Mapping[str, Any]]:
    """One prediction a symbol by each version and one by batch; a failure stands in between."""
    versions = [model["version"] for model in platform.get("/models")["models"]]
    paths = [
        f"/predict?symbol={symbol}&version={version}" for version in versions for symbol in SYMBOLS
    ]
    answers = [platform.get(path) for path in paths]
    assert platform.ask("/predict?symbol=NONE")[0] == 404
    batch = platform.get("/predict/batch", method="POST", body={"symbols": [*SYMBOLS, "NONE"]})
    return [*answers, *(each for each in batch["results"] if each["status"] == "ok")]


def _scores(answers: list[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    names = ("symbol", "model_version", "probability_up", "bars_hash", "bar_timestamp")
    return [tuple(answer.get(name) for name in names) for answer in answers]


@pytest.mark.soak
@pytest.mark.parametrize("era", ERAS)
def test_a_platform_goes_on_where_the_older_one_was_stopped(era: str, tmp_path: Path) -> None:
    commit = last_commit(era)
    if commit is None:
        pytest.skip("the commit is not in this clone's history")
    write_bars(tmp_path / "bars")
    source = extract(commit, tmp_path / "source")
    symbols = {"TRAIN_SYMBOLS": "AAA,BBB", "RATE_LIMIT_REQUESTS": "0"}
    with running(source, tmp_path, **symbols) as older:
        assert older.train(seed=7)["state"] == "succeeded"
        before = _answers(older)
        versions = [older.get(f"/models/{name}") for name in ("v1", "v2")]
    with running(ROOT, tmp_path, **symbols, TRAIN_ACTIVATE="if_not_worse") as newer:
        assert newer.get("/ready")["model_version"] == "v2"
        for version in versions:
            now = newer.get(f"/models/{version['version']}")
            assert now["fingerprint"] == version["fingerprint"]
        assert _scores(_answers(newer)) == _scores(before)
        for answer in before:
            kept = newer.get(f"/predictions/{answer['prediction_id']}")
            assert kept["probability_up"] == answer["probability_up"]
            path = f"/predictions/{answer['prediction_id']}/replay"
            assert newer.get(path, method="POST")["status"] == "identical"
        assert newer.get("/models/activate/v1", method="POST")["previous_version"] == "v2"
        assert newer.get("/admin/rollback", method="POST")["active_version"] == "v2"
        run = newer.train()
        assert (run["state"], run["version"]) == ("succeeded", "v3")
        assert newer.get("/models/v3")["gate"]["champion"] == "v2"
        kinds = [event["kind"] for event in newer.get("/monitoring/history")["events"]]
        assert kinds.count("trained") == 3
    say(f"{era} ({commit[:9]}): {len(versions)} versions, {len(before)} answers replayed identical")
