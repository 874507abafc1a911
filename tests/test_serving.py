"""The real server under load: killed, reloaded, recycled, and with models that change."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.platforms import NOW, SYMBOLS, make_platform
from tests.published import publish
from tests.serving import Answer, Asker, lasts, load, serving

from mlengine.bootstrap.platform import Platform
from mlengine.core.features import BUILTIN

PATHS = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]
READY = PATHS[0]


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform whose v1 and v2 differ in their feature sets, v1 active."""
    platform = make_platform(tmp_path)
    publish(
        platform.models.registry.directory, feature_set=BUILTIN["alpha158"], seed=2, run_id="wide"
    )
    return platform


def audited(folder: Path) -> set[str]:
    connection = sqlite3.connect(folder / "artifacts" / "audit.db")
    try:
        return {row[0] for row in connection.execute("SELECT prediction_id FROM predictions")}
    finally:
        connection.close()


def die_under_load(folder: Path, how: signal.Signals) -> None:
    """Every request that was answered in full has its row, however the server ends."""
    with serving(folder, ready=READY) as server, load(server.port, PATHS, askers=8) as traffic:
        lasts(5, lambda: len(traffic.answers) > 200)
        if how is signal.SIGKILL:
            server.kill()
        else:
            server.master.terminate()
            server.master.wait()
        traffic.over.set()
    answered = {each.body["prediction_id"] for each in traffic.answers if each.status == 200}
    assert len(answered) > 50
    assert answered <= audited(folder)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("platform")
def test_a_server_that_ends_under_load_leaves_no_answer_without_its_row(
    tmp_path: Path, how: signal.Signals
) -> None:
    die_under_load(tmp_path, how)


@pytest.mark.soak
@pytest.mark.parametrize("trial", range(20))
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("platform")
def test_no_answer_is_without_its_row_in_twenty_trials(
    tmp_path: Path,
    how: signal.Signals,
    trial: int,
) -> None:
    die_under_load(tmp_path, how)


def test_reloading_under_load_fails_no_request(platform: Platform, tmp_path: Path) -> None:
    """It takes in the files of model lines, too."""
    (folder := tmp_path / "lines").mkdir()
    with serving(tmp_path, ready=READY, LINES_DIR=str(folder)) as server:
        before = set(server.workers())
        (folder / "slow.toml").write_text("[recipe]\nhorizon_bars = 20\n")
        with load(server.port, PATHS, askers=6) as traffic:
            lasts(0.5)
            os.kill(server.master.pid, signal.SIGHUP)
            lasts(120, lambda: not before & set(server.workers()))
            lasts(1)
        assert not before & set(server.workers())
        assert len(server.workers()) == len(before)
    assert traffic.failed == []
    assert {each.body["prediction_id"] for each in traffic.answers} <= audited(tmp_path)
    assert [line.name for line in platform.control.lines.list()] == ["main", "slow"]


def test_a_reload_that_could_not_serve_is_refused_and_all_goes_on(
    platform: Platform, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    symbols = tmp_path / "symbols.csv"
    symbols.write_text(table := "symbol,calendar\nZZZ,XNYS\n")
    logged: list[str] = []

    def refusals() -> list[str]:
        logged.extend(capfd.readouterr().err.splitlines())
        return [line for line in logged if " reload refused " in line]

    (folder := tmp_path / "lines").mkdir()
    settings = {"MARKET_DATA_SYMBOLS_FILE": str(symbols), "LOG_LEVEL": "WARNING"}
    settings |= {"LINES_DIR": str(folder), "WEB_WORKERS": "1"}
    with serving(tmp_path, ready=READY, **settings) as server:
        before = set(server.workers())
        symbols.write_text("no table")
        os.kill(server.master.pid, signal.SIGHUP)
        assert eventually(lambda: len(refusals()) == 1, seconds=120), logged
        symbols.write_text(table)
        (folder / "fast.toml").write_text("[recipe]\nhorizon = 1\nrounds = 0\n")
        os.kill(server.master.pid, signal.SIGHUP)
        assert eventually(lambda: len(refusals()) == 2, seconds=120), logged
        (platform.registry.directory / "v1" / "model.txt").write_text("damaged")
        os.kill(server.master.pid, signal.SIGHUP)
        assert eventually(lambda: len(refusals()) == 3, seconds=120), logged
        assert set(server.workers()) == before
        assert server.ask(READY).status == 200
    assert "symbols.csv" in refusals()[0]
    assert "ERROR" in refusals()[1]
    for field in ("horizon is no field", "rounds must be a whole number"):
        assert f"fast.toml is refused: recipe.{field}" in refusals()[1]
    assert "v1" in refusals()[2]


@pytest.mark.soak
@pytest.mark.usefixtures("platform")
def test_recycling_workers_fails_no_request(tmp_path: Path) -> None:
    recycling = ("--max-requests", "60", "--max-requests-jitter", "20")
    with serving(tmp_path, *recycling, ready=READY) as server:
        before = set(server.workers())
        with load(server.port, PATHS, askers=6) as traffic:
            lasts(20, lambda: not before & set(server.workers()))
        assert not before & set(server.workers())
    assert traffic.failed == []


class Activators:
    """Threads that activate v1 and v2 by turns, and remember when each did."""

    def __init__(self, port: int, count: int) -> None:
        self.done: list[Answer] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(port, number)) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int, number: int) -> None:
        asker = Asker(port)
        while not self._over.is_set():
            number += 1
            path = f"/models/activate/v{1 + number % 2}"
            self.done.append(asker.ask(path, method="POST"))
        asker.close()

    def stop(self) -> Sequence[Answer]:
        """In the order in which they took effect."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        refused = [answer.body for answer in self.done if answer.status != 200]
        assert not refused
        return sorted(self.done, key=lambda answer: int(answer.body["generation"]))


def was_active(answer: Answer, activations: Sequence[Answer], first: str) -> bool:
    """Whether the version that answered was the active one at some moment of the call."""
    served, since, until = [first], [0.0], []
    for each in activations:
        served.append(str(each.body["active_version"]))
        since.append(each.begun)
        until.append(each.ended)
    until.append(float("inf"))
    return any(
        version == answer.body["model_version"] and begun <= answer.ended and answer.begun <= ended
        for version, begun, ended in zip(served, since, until, strict=True)
    )


def activate_under_load(
    platform: Platform, folder: Path, *, activators: int, predictors: int, seconds: float
) -> None:
    with serving(folder, ready=READY) as server:
        expected = {}
        for version in ("v1", "v2"):
            for symbol in SYMBOLS:
                body = server.ask(f"/predict?symbol={symbol}&version={version}").body
                expected[version, symbol] = _provenance_of(body)
        with load(server.port, PATHS, askers=predictors) as traffic:
            running = Activators(server.port, activators)
            time.sleep(seconds)
            activations = running.stop()
        last = activations[-1].body["active_version"]
        assert {server.ask(READY).body["model_version"] for _ in range(8)} == {last}
    assert traffic.failed == []
    assert len(activations) > activators
    assert {each.body["model_version"] for each in traffic.answers} == {"v1", "v2"}
    for answer in traffic.answers:
        key = (answer.body["model_version"], answer.body["symbol"])
        assert _provenance_of(answer.body) == expected[key], "model and features of two versions"
        assert was_active(answer, activations, "v1")
    assert {each.body["prediction_id"] for each in traffic.answers} <= audited(folder)
    assert platform.models.active_version() == last


def _provenance_of(body: dict[str, object]) -> tuple[object, ...]:
    feature_set = body["feature_set"]
    assert isinstance(feature_set, dict)
    return body["probability_up"], body["bars_hash"], feature_set["hash"], body["model_fingerprint"]


def test_every_answer_is_of_a_version_that_was_active_during_its_call(
    platform: Platform, tmp_path: Path
) -> None:
    activate_under_load(platform, tmp_path, activators=2, predictors=6, seconds=2)


@pytest.mark.soak
def test_eight_activators_and_thirty_two_predictors_for_a_minute(
    platform: Platform, tmp_path: Path
) -> None:
    activate_under_load(platform, tmp_path, activators=8, predictors=32, seconds=60)


def test_a_broken_version_is_refused_and_health_says_so(platform: Platform, tmp_path: Path) -> None:
    with serving(tmp_path, ready=READY, WEB_WORKERS="1") as server:
        path = platform.models.registry.directory / "v2" / "model.txt"
        path.write_bytes(path.read_bytes()[:-1])
        assert server.ask("/models/activate/v2", method="POST").body["code"] == "artifact_corrupt"
        platform.models.registry.activate("v2", actor="x", reason="", now=NOW)
        answers = [server.ask(READY) for _ in range(8)]
        health = server.ask("/health").body
    assert {each.body["model_version"] for each in answers} == {"v1"}
    assert {each.body["degraded"] for each in answers} == {True}
    assert (health["status"], health["checks"]["model"]) == ("degraded", "degraded")
    versions = ("active_version", "loaded_version")
    assert [health["model"][name] for name in versions] == ["v2", "v1"]
