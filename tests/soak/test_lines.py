"""Three model lines on real processes: one trains, one serves, one is retired, beside `main`."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.patience import eventually
from tests.published import publish
from tests.serving import Server, serving
from tests.training_rig import TrainingRig, now, say

from mlengine.core.lines.line import LineDefinition
from mlengine.stores.registry.folders import versions_directory
from mlengine.stores.registry.registry import Registry

SECONDS = 60.0
KEY = "a-test-key-of-thirty-two-letters"
TRAINS, SERVES, ENDS = "trains", "serves", "ends"


@dataclass
class Answers:
    """What a stream of questions to one line was answered: (status, version) and the fingerprints.

    `late` are the answers with 200 that were asked for a second after `over`.
    """

    seen: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    lines: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)
    over: float | None = None
    late: int = 0


def ask(server: Server, path: str, *, method: str = "GET") -> tuple[int, dict[str, object]]:
    url = f"http://127.0.0.1:{server.port}{path}"
    request = Request(url, method=method, headers={"X-API-Key": KEY})
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


@contextmanager
def asking(server: Server, line: str) -> Iterator[Answers]:
    """Predictions of a line, one after the other, for as long as the block takes."""
    answers, done = Answers(), threading.Event()

    def run() -> None:
        while not done.is_set():
            asked_at = time.monotonic()
            status, body = ask(server, f"/predict?symbol=AAA&model={line}")
            answers.seen[status, body.get("model_version")] += 1
            if status == 200:
                answers.lines.add(str(body["model"]))
                answers.fingerprints.add(str(body["model_fingerprint"]))
                over = answers.over
                answers.late += over is not None and asked_at > over + 1.5

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def prepare(rig: TrainingRig) -> None:
    """A tiny champion of `main` and of two lines, and one line without any."""
    lines = rig.control.lines
    recipe = {"horizon_bars": 3, "rounds": 20, "activate": "always"}
    lines.save(TRAINS, LineDefinition(recipe=recipe), actor="test", now=now())
    for seed, line in enumerate(("main", SERVES, ENDS)):
        if line != "main":
            lines.save(line, LineDefinition(), actor="test", now=now())
        directory = versions_directory(rig.artifacts, line)
        digest = f"{seed}" * 64
        publish(directory, seed=seed + 1, run_id=f"r{seed}", model=line, fingerprint=digest)
        registry = Registry(directory)
        registry.activate("v1", actor="test", reason="first", now=now())


@pytest.mark.soak
def test_three_lines_side_by_side_do_not_touch_each_other(tmp_path: Path) -> None:
    with TrainingRig() as rig:
        prepare(rig)
        workers = []
        for _ in range(2):
            rig.start_worker()
            workers.append(rig.worker)
        ready = f"/predict?symbol=AAA&model={SERVES}"
        environ = {**rig.environ, "REDIS_URL": "", "RATE_LIMIT_REQUESTS": "0"}
        with serving(tmp_path, ready=ready, **environ) as server:
            try:
                _side_by_side(rig, server)
            finally:
                for worker in workers:
                    worker.kill()
                    worker.wait()


def _side_by_side(rig: TrainingRig, server: Server) -> None:
    with (
        asking(server, SERVES) as serves,
        asking(server, "main") as main,
        asking(server, ENDS) as ends,
    ):
        trained, at_once = _train(rig, server, ends)
    say(
        f"{trained} trainings of `{TRAINS}`, {at_once} of them beside one of `main`; "
        f"`{SERVES}`: {dict(serves.seen)}; `main`: {dict(main.seen)}; `{ENDS}`: {dict(ends.seen)}, "
        f"{ends.late} answers too late"
    )
    assert at_once > 0
    assert serves.seen.keys() == {(200, "v1")}
    assert (serves.lines, serves.fingerprints) == ({SERVES}, {"1" * 64})
    assert {status for status, _ in main.seen} == {200}
    assert main.lines == {"main"}
    assert {status for status, _ in ends.seen} == {200, 410}
    assert ends.late == 0
    _look_at_histories(server, trained)


def _train(rig: TrainingRig, server: Server, ends: Answers) -> tuple[int, int]:
    """Train the one line, and `main` beside it; retire another in the middle.

    Returns how many trainings succeeded, and how many ran while one of `main` did.
    """
    trained = at_once = 0
    until, retire_at = time.monotonic() + SECONDS, time.monotonic() + SECONDS / 2
    while time.monotonic() < until:
        status, body = ask(server, f"/admin/train?model={TRAINS}", method="POST")
        assert status == 202, body
        run_id = str(body["run_id"])
        status, other = ask(server, "/admin/train", method="POST")
        assert status in (202, 409), other
        second, refused = ask(server, f"/admin/train?model={TRAINS}", method="POST")
        assert (second, refused["run_id"]) == (409, run_id)
        main_id = str(other["run_id"])
        seen = [False]

        def both_run(run_id: str = run_id, main_id: str = main_id, seen: list[bool] = seen) -> bool:
            states = {rig.run(each).state for each in (run_id, main_id)}
            seen[0] = seen[0] or states == {"running"}
            return not rig.run(run_id).unfinished

        assert eventually(both_run, seconds=120)
        assert rig.run(run_id).state == "succeeded", rig.run(run_id)
        trained, at_once = trained + 1, at_once + seen[0]
        if ends.over is None and time.monotonic() > retire_at:
            assert ask(server, f"/admin/lines/{ENDS}/retire", method="POST")[0] == 200
            ends.over = time.monotonic()
    return trained, at_once


def _look_at_histories(server: Server, trained: int) -> None:
    """Each line has its own versions, runs, events and predictions, under both prefixes."""
    for prefix in ("", "/api/v1"):
        listed = {each["name"]: each for each in ask(server, f"{prefix}/lines")[1]["lines"]}  # type: ignore[attr-defined,index]
        assert listed[ENDS]["state"] == "retired"
        assert listed[TRAINS]["versions"] == trained
        assert listed[TRAINS]["active_version"] == f"v{trained}"
        assert (listed[SERVES]["versions"], listed[ENDS]["versions"]) == (1, 1)
        for line in (TRAINS, SERVES, ENDS):
            models = ask(server, f"{prefix}/models?model={line}")[1]["models"]
            assert len(models) == listed[line]["versions"]  # type: ignore[arg-type]
            for kind in ("events", "runs", "predictions"):
                path = {
                    "events": "/monitoring/history",
                    "runs": "/admin/train/runs",
                    "predictions": "/predictions/recent",
                }[kind]
                rows = ask(server, f"{prefix}{path}?model={line}&limit=200")[1][kind]
                assert {row["model"] for row in rows} <= {line}  # type: ignore[attr-defined]
        runs = ask(server, f"{prefix}/admin/train/runs?model={SERVES}")[1]["runs"]
        assert runs == []
        assert ask(server, f"{prefix}/predict?symbol=AAA&model={ENDS}")[0] == 410
        assert ask(server, f"{prefix}/admin/train?model={ENDS}", method="POST")[0] == 410
