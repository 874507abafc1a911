"""One platform on one machine: queue server, worker and web server, started and kept alive.

Starts its children as subprocesses only; neither Polars nor LightGBM nor Flask is loaded here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from mlengine import config
from mlengine.config import Settings
from mlengine.errors import MlengineError
from mlengine.stores.queue.server import QueueServer, find_binary
from mlengine.stores.system import preflight
from mlengine.stores.system.child_process import start_bound
from mlengine.supervisor.addresses import HealthProbe, welcome
from mlengine.supervisor.children import Child, Signals, how_it_ended, reap_strangers
from mlengine.supervisor.models import Models

_HEALTH_SECONDS = 60.0
_TICK_SECONDS = 1.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


@dataclass(frozen=True)
class Commands:
    """What the children run, from the project's folder."""

    web: Sequence[str] = (sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app")
    worker: Sequence[str] = (sys.executable, "worker.py")
    prepare: Sequence[str] = (sys.executable, "-m", "mlengine", "prepare")
    train: Sequence[str] = (sys.executable, "-m", "flask", "--app", "wsgi", "train", "--wait")

    @property
    def first_training(self) -> Sequence[str]:
        return (*self.train, "--first")


def up(settings: Settings, commands: Commands) -> int:
    """Run the platform until it is told to stop; returns the exit code. Raises CannotStart."""
    with ExitStack() as held:
        preflight.check_openmp()
        preflight.check_artifacts(settings.artifacts_dir)
        preflight.check_universe(settings.train.universe_file)
        held.enter_context(preflight.only_supervisor(settings.artifacts_dir))
        preflight.check_port(settings.host, settings.port)
        children = _queue_children(settings) + [_worker(commands), _web(settings, commands)]
        return Supervisor(settings, commands, children, Signals()).run()


def train_once(settings: Settings, commands: Commands) -> int:
    """One training on the running platform, else with a worker of its own; the exit code says."""
    preflight.check_openmp()
    preflight.check_artifacts(settings.artifacts_dir)
    preflight.check_universe(settings.train.universe_file)
    with ExitStack() as held:
        children: list[Child] = []
        if not preflight.is_held(settings.artifacts_dir):
            held.enter_context(preflight.only_supervisor(settings.artifacts_dir))
            children = [*_queue_children(settings), _worker(commands)]
        supervisor = Supervisor(settings, commands, children, Signals(), only=commands.train)
        return supervisor.run()


def _queue_children(settings: Settings) -> list[Child]:
    if settings.redis_url:
        return []
    # Its socket lies in the temp directory: $XDG_RUNTIME_DIR vanishes when the user logs out.
    server = QueueServer(settings.artifacts_dir, find_binary())
    return [
        Child(
            "queue server",
            server.start,
            grace_seconds=2.0,
            early=True,
            is_reachable=server.is_reachable,
        )
    ]


def _worker(commands: Commands) -> Child:
    environment = config.environment_for_child({"PYTHONUNBUFFERED": "1"})
    return Child(
        "worker",
        lambda: start_bound(commands.worker, environment=environment),
        grace_seconds=2.5,
        insist=True,
    )


def _web(settings: Settings, commands: Commands) -> Child:
    """Early on a common start; feature sets of the user's own are checked before it."""
    environment = config.environment_for_child({"PYTHONUNBUFFERED": "1", **ONE_THREAD})
    return Child(
        "web server",
        lambda: start_bound(commands.web, environment=environment),
        grace_seconds=4.0,
        early=not settings.feature_sets and settings.train.feature_set == "core",
        vital=True,
    )


@dataclass
class Supervisor:
    """Keeps `children` alive, in the order of their start.

    With `only`, that one command is run beside them, and its end is the end of all.
    """

    settings: Settings
    commands: Commands
    children: list[Child]
    signals: Signals
    only: Sequence[str] | None = None
    _errand: Child | None = field(default=None, init=False)
    _verdict: int | None = field(default=None, init=False)
    _health_due: float | None = field(default=None, init=False)
    _probe: HealthProbe = field(init=False)

    def __post_init__(self) -> None:
        self._probe = HealthProbe(self.settings.host, self.settings.port)

    def run(self) -> int:
        """Until somebody asks to stop (0), or a child's end ends everything."""
        try:
            self._start()
            while self._verdict is None:
                if self.signals.stop_asked(within_seconds=self._pause()):
                    return 0 if self.only is None else 130
                self._tick()
            return self._verdict
        finally:
            self._stop()

    def _start(self) -> None:
        if self.only is None or self.children:
            self._prepare()
        if self._verdict is None:
            self._launch(early=False)
            if self.only is not None:
                self._send(self.only)
            else:
                self._health_due = time.monotonic() + _HEALTH_SECONDS

    def _prepare(self) -> None:
        """Prepare the database, and let start beside it what can."""
        preparation = start_bound(self.commands.prepare)
        try:
            self._launch(early=True)
            while preparation.poll() is None:
                if self.signals.stop_asked(within_seconds=_TICK_SECONDS):
                    self._verdict = 130
                    return
            self._verdict = preparation.returncode or None
        finally:
            preparation.kill()
            preparation.wait()

    def _launch(self, *, early: bool) -> None:
        for child in self.children:
            if child.early is early:
                child.launch()

    def _pause(self) -> float:
        waits = [child.retry_at for child in self.children if child.retry_at is not None]
        soonest = min((at - time.monotonic() for at in waits), default=_TICK_SECONDS)
        return min(soonest, 0.1 if self._health_due is not None else _TICK_SECONDS)

    def _tick(self) -> None:
        for child in self.children:
            self._look_after(child)
        if self._health_due is not None and self._verdict is None:
            self._look_for_health(self._health_due)
        if self._errand is not None and self._errand.exit_code() is not None:
            self._errand_ended(self._errand)
        everyone = [*self.children, *([self._errand] if self._errand else [])]
        reap_strangers({child.process.pid for child in everyone if child.process is not None})

    def _look_after(self, child: Child) -> None:
        child.kill_if_unreachable()
        code = child.exit_code()
        if code is not None:
            self._ended(child, how_it_ended(code))
        elif child.due():
            try:
                child.launch()
            except MlengineError as error:
                self._ended(child, str(error))
            else:
                _say(f"the {child.name} was started again")

    def _ended(self, child: Child, how: str) -> None:
        delay = child.note_failure()
        if child.vital:
            _say(f"the {child.name} ended ({how}); stopping everything")
            self._verdict = 1
        elif child.hopeless:
            _say(f"the {child.name} failed {child.failures} times ({how}); stopping everything")
            self._verdict = 1
        else:
            _say(f"the {child.name} ended ({how}); next try in {delay:g} s")

    def _look_for_health(self, due: float) -> None:
        if self._probe.answered():
            self._health_due = None
            self._announce()
        elif time.monotonic() > due:
            _say(f"no answer on /health for {_HEALTH_SECONDS:g} s; stopping everything")
            self._verdict = 1

    def _announce(self) -> None:
        for line in welcome(self.settings):
            _say(line)
        models = Models(self.settings)
        if models.wants_first_training():
            _say("no model is active: training the first one")
            self._send(self.commands.first_training)
        elif not models.is_active():
            _say(models.how_to_predict())

    def _send(self, command: Sequence[str]) -> None:
        self._errand = Child("training", lambda: start_bound(command), grace_seconds=0.5)
        self._errand.launch()

    def _errand_ended(self, errand: Child) -> None:
        code = errand.exit_code()
        self._errand = None
        if self.only is not None:
            self._verdict = code
        elif code == 0:
            _say(Models(self.settings).how_to_predict())
        else:
            _say("the first training failed, the platform stays up; to try again: make train")

    def _stop(self) -> None:
        self._probe.close()
        hurried = False
        errand = [self._errand] if self._errand is not None else []
        for child in [*errand, *reversed(self.children)]:
            hurried = child.stop(self.signals, hurried=hurried)


def _say(line: str) -> None:
    print(line, flush=True)
