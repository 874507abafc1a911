"""One platform on one machine: queue server, worker and web server, started and kept alive.

Starts its children as subprocesses only; neither Polars nor LightGBM nor Flask is loaded here.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from mlengine.config import Settings
from mlengine.errors import MlengineError
from mlengine.stores.system import preflight
from mlengine.stores.system.child_process import start_dying_with_parent
from mlengine.supervisor.children import Child, Signals, exit_reason, reap_zombies
from mlengine.supervisor.health import HealthProbe
from mlengine.supervisor.messages import command_text, welcome
from mlengine.supervisor.processes import ChildCommands, queue_children, web_child, worker_child
from mlengine.supervisor.registry_state import RegistryState

_HEALTH_SECONDS = 60.0
_TICK_SECONDS = 1.0


def up(settings: Settings, commands: ChildCommands) -> int:
    """Run the platform until a stop signal; returns the exit code. Raises CannotStart."""
    with ExitStack() as stack:
        preflight.require_openmp()
        preflight.require_artifacts(settings.artifacts_dir)
        preflight.require_prices(settings.market_data_dir)
        preflight.require_universe(settings.train.universe_file)
        stack.enter_context(preflight.supervisor_lock(settings.artifacts_dir))
        preflight.require_port(settings.host, settings.port)
        children = queue_children(settings) + [
            worker_child(commands),
            web_child(settings, commands),
        ]
        return Supervisor(settings, commands, children, Signals()).run()


def train_once(settings: Settings, commands: ChildCommands) -> int:
    """One training on the running platform, else with a worker of its own; its exit code."""
    preflight.require_openmp()
    preflight.require_artifacts(settings.artifacts_dir)
    preflight.require_prices(settings.market_data_dir)
    preflight.require_universe(settings.train.universe_file)
    with ExitStack() as stack:
        children: list[Child] = []
        if not preflight.is_supervised(settings.artifacts_dir):
            stack.enter_context(preflight.supervisor_lock(settings.artifacts_dir))
            worker = worker_child(commands, LOG_LEVEL=settings.command_log_level)
            children = [*queue_children(settings), worker]
        supervisor = Supervisor(
            settings, commands, children, Signals(), one_off_command=commands.train
        )
        return supervisor.run()


@dataclass
class Supervisor:
    """Keeps `children` alive, in the order of their start.

    With `one_off_command`, that one command is run beside them, and its end is the end of all.
    """

    settings: Settings
    commands: ChildCommands
    children: list[Child]
    signals: Signals
    one_off_command: Sequence[str] | None = None
    _training: Child | None = field(default=None, init=False)
    _exit_code: int | None = field(default=None, init=False)
    _health_deadline: float | None = field(default=None, init=False)
    _probe: HealthProbe = field(init=False)

    def __post_init__(self) -> None:
        self._probe = HealthProbe(self.settings.host, self.settings.port)

    def run(self) -> int:
        """Until a stop signal (0), or until the end of a child ends everything."""
        try:
            self._start()
            while self._exit_code is None:
                if self.signals.wait_for_stop(timeout_seconds=self._pause()):
                    return 0 if self.one_off_command is None else 130
                self._tick()
            return self._exit_code
        finally:
            self._stop()

    def _start(self) -> None:
        if self.one_off_command is None or self.children:
            self._prepare()
        if self._exit_code is None:
            self._start_children(needs_database=True)
            if self.one_off_command is not None:
                self._start_training(self.one_off_command)
            else:
                self._health_deadline = time.monotonic() + _HEALTH_SECONDS

    def _prepare(self) -> None:
        """Prepare the database, and start meanwhile what needs none."""
        preparation = start_dying_with_parent(self.commands.prepare)
        try:
            self._start_children(needs_database=False)
            while preparation.poll() is None:
                if self.signals.wait_for_stop(timeout_seconds=_TICK_SECONDS):
                    self._exit_code = 130
                    return
            self._exit_code = preparation.returncode or None
        finally:
            preparation.kill()
            preparation.wait()

    def _start_children(self, *, needs_database: bool) -> None:
        for child in self.children:
            if child.needs_database is needs_database:
                child.start()

    def _pause(self) -> float:
        restarts = [child.restart_at for child in self.children if child.restart_at is not None]
        soonest = min((at - time.monotonic() for at in restarts), default=_TICK_SECONDS)
        return min(soonest, 0.1 if self._health_deadline is not None else _TICK_SECONDS)

    def _tick(self) -> None:
        for child in self.children:
            self._restart_if_ended(child)
        if self._health_deadline is not None and self._exit_code is None:
            self._check_health(self._health_deadline)
        if self._training is not None and self._training.exit_code() is not None:
            self._handle_training_exit(self._training)
        everyone = [*self.children, *([self._training] if self._training else [])]
        reap_zombies({child.process.pid for child in everyone if child.process is not None})

    def _restart_if_ended(self, child: Child) -> None:
        child.kill_if_unreachable()
        code = child.exit_code()
        if code is not None:
            self._handle_exit(child, exit_reason(code))
        elif child.restart_due():
            try:
                child.start()
            except MlengineError as error:
                self._handle_exit(child, str(error))
            else:
                _print(f"the {child.name} was started again")

    def _handle_exit(self, child: Child, reason: str) -> None:
        delay = child.schedule_restart()
        if child.critical:
            _print(f"the {child.name} ended ({reason}); stopping everything")
            self._exit_code = 1
        elif child.failed_too_often and self.one_off_command is not None:
            _print(
                f"the {child.name} failed {child.failures} times ({reason}); stopping everything"
            )
            self._exit_code = 1
        else:
            _print(f"the {child.name} ended ({reason}); next try in {delay:g} s")

    def _check_health(self, deadline: float) -> None:
        if self._probe.is_healthy():
            self._health_deadline = None
            self._announce()
        elif time.monotonic() > deadline:
            _print(f"no answer on /health for {_HEALTH_SECONDS:g} s; stopping everything")
            self._exit_code = 1

    def _announce(self) -> None:
        for line in welcome(self.settings):
            _print(line)
        models = RegistryState(self.settings)
        if models.needs_first_training():
            _print("no model is active: training the first one")
            self._start_training(self.commands.first_training)
        elif not models.has_active():
            _print(models.next_step())

    def _start_training(self, argv: Sequence[str]) -> None:
        self._training = Child("training", lambda: start_dying_with_parent(argv), grace_seconds=0.5)
        self._training.start()

    def _handle_training_exit(self, training: Child) -> None:
        code = training.exit_code()
        self._training = None
        if self.one_off_command is not None:
            self._exit_code = code
        elif code == 0:
            _print(RegistryState(self.settings).next_step())
        else:
            retry = command_text("train")
            _print(f"the first training failed, the platform stays up; to try again: {retry}")

    def _stop(self) -> None:
        self._probe.close()
        force = False
        training = [self._training] if self._training is not None else []
        for child in [*training, *reversed(self.children)]:
            force = child.stop(self.signals, force=force)


def _print(line: str) -> None:
    print(line, flush=True)
