"""The queue server stops and loses everything in the middle of a run; serving goes on."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.patience import eventually
from tests.published import publish
from tests.supervised import free_port
from tests.training_rig import ROOT, TrainingRig, now, say

from mlengine import config
from mlengine.stores.registry.registry import Registry


class Serving:
    """A real web server, and a client that asks it again and again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: list[int] = []
        self._over = threading.Event()
        self._client = threading.Thread(target=self._ask)

    def status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            self.statuses.append(self.status("/predict?symbol=AAA"))

    @contextmanager
    def under_requests(self) -> Iterator[None]:
        self._client.start()
        try:
            yield
        finally:
            self._over.set()
            self._client.join()


@contextmanager
def serving(rig: TrainingRig) -> Iterator[Serving]:
    port = free_port()
    environ = {**rig.environ, "PORT": str(port), "HOME": str(rig.artifacts)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
        cwd=ROOT,
        env=config.environment_for_child({**environ, "RATE_LIMIT_REQUESTS": "1000000"}),
        stderr=subprocess.DEVNULL,
    )
    try:
        web = Serving(port)
        assert eventually(lambda: web.status("/ready") == 200, seconds=60)
        yield web
    finally:
        process.terminate()
        process.wait()


def lose_queue(seconds_down: float) -> str:
    """Train, and lose the queue meanwhile; returns one line of what was seen."""
    with TrainingRig(WEB_WORKERS="1") as rig:
        publish(rig.models)
        Registry(rig.models).activate("v1", actor="test", reason="first", now=now())
        rig.sabotage(f"sleep 1 {seconds_down + 3}")
        rig.start_worker()
        with serving(rig) as web, web.under_requests():
            run_id = rig.ask()
            assert eventually(lambda: rig.run(run_id).state == "running", seconds=60)
            rig.queue.stop()
            shutil.rmtree(rig.artifacts / "queue" / "appendonlydir")
            time.sleep(seconds_down)
            rig.queue.start()
            run, seconds = rig.end_of(run_id)
            assert run.state in ("succeeded", "lost"), run
            rig.sabotage("kill 1000000")
            if rig.worker is not None and rig.worker.poll() is not None:
                rig.start_worker()  # as the supervisor does
            following, _ = rig.end_of(rig.ask())
            assert following.state == "succeeded", following
        assert set(web.statuses) == {200}
        return (
            f"queue emptied and down for {seconds_down:g} s: run {run.state} {seconds:.1f} s "
            f"later, the next {following.state}; {len(web.statuses)} predictions, 0 errors"
        )


def test_a_run_survives_the_loss_of_its_queue_and_serving_does_not_notice() -> None:
    say(lose_queue(1.0))


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [0.2, 5.0, 40.0])
def test_a_run_survives_a_queue_that_is_gone_for_long(seconds: float) -> None:
    say(lose_queue(seconds))
