"""Three hosts with folders of their own, one bucket and one database agree on what they share."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.patience import eventually
from tests.platforms import bars_folder, settings
from tests.postgres import running_server, what_is_missing
from tests.published import draft, tiny_files
from tests.s3_server import s3_server
from tests.serving import ROOT, Answer, Asker, Load, Server, load, serving

from mlengine import config
from mlengine.bootstrap.platform import build_platform
from mlengine.stores.registry.shared.bucket import Bucket
from mlengine.stores.registry.shared.registry import SharedRegistry

HOSTS = ("one", "two", "three")
READY = "/predict?symbol=AAA"
PATHS = [READY, "/predict?symbol=BBB", "/predict?symbol=CCC"]
PUBLISHERS, VERSIONS_EACH, ACTIVATORS, PREDICTORS = 8, 25, 8, 32
SECONDS = 60.0
REPLAYED = 1000

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing())),
]


@dataclass(frozen=True)
class Team:
    """Hosts that serve, each with its folder below `folder`, and what they share."""

    folder: Path
    environ: Mapping[str, str]
    servers: Mapping[str, Server]

    def registry(self, host: str) -> SharedRegistry:
        """As a worker on that host has it."""
        directory = self.folder / host / "artifacts" / "cache" / "models" / "main"
        return SharedRegistry(directory, Bucket(self.environ["REGISTRY_URL"]))


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    with ExitStack() as stack:
        database = stack.enter_context(running_server()).new_database()
        bucket = stack.enter_context(s3_server())
        shared = {
            **bucket.environ,
            "AUDIT_DATABASE_URL": database,
            "REGISTRY_URL": bucket.new_prefix(),
        }
        for name, value in bucket.environ.items():
            monkeypatch.setenv(name, value)
        for host in HOSTS:
            bars_folder(tmp_path / host / "bars")
        team = Team(tmp_path, shared, {})
        platform = build_platform(settings(tmp_path / HOSTS[0], **shared))
        platform.control.migrate_and_backfill()
        publish(team, 0, HOSTS[0])
        platform.models.activate("v1", actor="test", reason="", now=platform.control.clock())
        platform.control.database.dispose()
        servers = {
            host: stack.enter_context(serving(tmp_path / host, ready=READY, **shared))
            for host in HOSTS
        }
        yield Team(tmp_path, shared, servers)


def publish(team: Team, number: int, host: str) -> str:
    """As a training on that host does; each version has a fingerprint of its own."""
    run_id = f"run{number}"
    fingerprint = hashlib.sha256(run_id.encode()).hexdigest()
    manifest = draft(run_id=run_id, fingerprint=fingerprint, candidate_fingerprint=fingerprint)
    files = tiny_files(seed=1 + number % 3)
    return team.registry(host).publish(manifest, files, fence=lambda: None).version


def test_what_hosts_publish_activate_and_predict_at_once_never_mixes(team: Team) -> None:
    over, published = threading.Event(), ["v1"]
    until = time.monotonic() + SECONDS

    def publish_some(publisher: int) -> None:
        for turn in range(VERSIONS_EACH):
            number = 1 + publisher * VERSIONS_EACH + turn
            published.append(publish(team, number, HOSTS[number % 3]))
            over.wait(max(0.0, until - time.monotonic()) / (VERSIONS_EACH - turn + 1))

    def activate_some(activator: int) -> list[Answer]:
        chance, answers = random.Random(activator), []  # noqa: S311 - versions, no secrets
        asker = Asker(team.servers[HOSTS[activator % 3]].port)
        while not over.wait(0.2):
            version = chance.choice(published)
            answers.append(asker.ask(f"/models/activate/{version}", method="POST"))
        asker.close()
        return answers

    with ExitStack() as stack:
        traffic = [
            stack.enter_context(load(server.port, PATHS, askers=PREDICTORS // 3 + 1))
            for server in team.servers.values()
        ]
        batches = stack.enter_context(_batches(team))
        with ThreadPoolExecutor(PUBLISHERS + ACTIVATORS) as threads:
            activations = [threads.submit(activate_some, n) for n in range(ACTIVATORS)]
            publications = [threads.submit(publish_some, n) for n in range(PUBLISHERS)]
            for each in publications:
                each.result()
            over.set()
            activated = [answer for each in activations for answer in each.result()]

    asked = sum(len(each.answers) for each in traffic)
    sys.stdout.write(
        f"{len(published)} versions, {len(activated)} activations, {asked} predictions, "
        f"{len(batches)} batches\n"
    )
    assert sorted(published, key=_number) == [f"v{n}" for n in range(1, len(published) + 1)]
    ends = Counter((answer.status, answer.body.get("code")) for answer in activated)
    assert {status for status, _ in ends} == {200}, ends
    assert [answer for each in traffic for answer in each.failed] == []
    _check_versions(team, traffic, batches)
    _check_that_all_follow(team)


@contextmanager
def _batches(team: Team) -> Iterator[list[list[tuple[str, str]]]]:
    """Versions and fingerprints within each batch, asked of all hosts by turns."""
    found: list[list[tuple[str, str]]] = []
    over = threading.Event()
    body = json.dumps({"symbols": ["AAA", "BBB", "CCC"]}).encode()

    def run() -> None:
        for turn in range(sys.maxsize):
            if over.wait(0.05):
                return
            answer = _post(list(team.servers.values())[turn % 3].port, "/predict/batch", body)
            assert [each["status"] for each in answer["results"]] == ["ok"] * 3
            found.append(
                [(each["model_version"], each["model_fingerprint"]) for each in answer["results"]]
            )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _check_versions(team: Team, traffic: list[Load], batches: list[list[tuple[str, str]]]) -> None:
    """Each answer is of one version, with the fingerprint that it was published with."""
    assert len(batches) > 100
    assert [batch for batch in batches if len(set(batch)) != 1] == []
    registry = team.registry(HOSTS[0])
    registry.refresh()
    told = {
        (answer.body["model_version"], answer.body["model_fingerprint"])
        for each in traffic
        for answer in each.answers
    } | {pair for batch in batches for pair in batch}
    assert len(told) > 3
    assert {(version, registry.verify(version).fingerprint) for version, _ in told} == told


def _check_that_all_follow(team: Team) -> None:
    """Two seconds after an activation on one host."""
    for host, server in team.servers.items():
        version = publish(team, 1_000_000 + len(host), host)
        assert server.ask(f"/models/activate/{version}", method="POST").status == 200
        begun = time.monotonic()

        def all_say(version: str = version) -> bool:
            answers = [each.ask(READY) for each in team.servers.values()]
            return {each.body["model_version"] for each in answers} == {version}

        assert eventually(all_say, seconds=2)
        sys.stdout.write(f"{version} is served everywhere after {time.monotonic() - begun:.2f} s\n")


def test_what_one_host_predicted_another_replays(team: Team) -> None:
    one, two = team.servers["one"], team.folder / "two"
    with load(one.port, PATHS, askers=8) as traffic:
        assert eventually(lambda: len(traffic.answers) >= REPLAYED, seconds=60)
    assert traffic.failed == []
    environ = {
        **team.environ,
        "ARTIFACTS_DIR": str(two / "artifacts"),
        "MARKET_DATA_DIR": str(two / "bars"),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "FLASK_SKIP_DOTENV": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", "audit", "replay", "--sample", str(REPLAYED), "--json"],
        cwd=ROOT,
        env=config.environment_for_child(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sys.stdout.write(done.stdout)
    counts = json.loads(done.stdout)["counts"]
    assert {status: count for status, count in counts.items() if count} == {"identical": REPLAYED}


def _post(port: int, path: str, body: bytes) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
        return found


def _number(version: str) -> int:
    return int(version[1:])
