"""One platform on one machine: queue server, worker and web server, started and kept alive.

Starts its children as subprocesses only; neither Polars nor LightGBM nor Flask is loaded here.
"""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from mlengine import __version__
from mlengine.config import Settings
from mlengine.errors import MlengineError
from mlengine.logs import lifecycle
from mlengine.stores.system import preflight
from mlengine.stores.system.child_process import start_dying_with_parent
from mlengine.supervisor.children import Child, Signals, exit_reason, reap_zombies
from mlengine.supervisor.health import HealthProbe
from mlengine.supervisor.messages import base_address, command_text, welcome
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
        facts = {"version": __version__, "pid": os.getpid()}
        where = {"env": settings.env, "artifacts": str(settings.artifacts_dir)}
        lifecycle.info("supervisor started", extra={**facts, **where})
        exit_code = Supervisor(settings, commands, children, Signals()).run()
        lifecycle.info("supervisor stopped", extra={**facts, "exit_code": exit_code})
        return exit_code


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
        if self.signals.reload_is_due and self._health_deadline is None:
            self._reload()
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
                facts = {"child": child.name, "pid": child.process and child.process.pid}
                lifecycle.info("child started again", extra=facts)

    def _handle_exit(self, child: Child, reason: str) -> None:
        delay = child.schedule_restart()
        facts = {"child": child.name, "reason": reason, "failures": child.failures}
        if child.critical or (child.failed_too_often and self.one_off_command is not None):
            lifecycle.error("child ended, stopping everything", extra=facts)
            self._exit_code = 1
        else:
            lifecycle.warning("child ended", extra={**facts, "next_try_seconds": delay})

    def _reload(self) -> None:
        """Once the platform is up: until then all is being read anyway."""
        self.signals.reload_is_due = False
        reloaded = [child.name for child in self.children if child.reload()]
        lifecycle.info("reload passed on", extra={"children": reloaded})

    def _check_health(self, deadline: float) -> None:
        if self._probe.is_healthy():
            self._health_deadline = None
            self._announce()
        elif time.monotonic() > deadline:
            reason = f"no answer on /health for {_HEALTH_SECONDS:g} s"
            lifecycle.error("stopping everything", extra={"reason": reason})
            self._exit_code = 1

    def _announce(self) -> None:
        lifecycle.info("platform is up", extra={"address": base_address(self.settings)})
        self._tell(*welcome(self.settings))
        models = RegistryState(self.settings)
        if models.needs_first_training():
            self._tell("no model is active: training the first one")
            lifecycle.info("first training started")
            self._start_training(self.commands.first_training)
        elif not models.has_active():
            self._tell(models.next_step())
            lifecycle.warning("no model is active", extra={"next_step": models.next_step()})

    def _start_training(self, argv: Sequence[str]) -> None:
        self._training = Child("training", lambda: start_dying_with_parent(argv), grace_seconds=0.5)
        self._training.start()

    def _handle_training_exit(self, training: Child) -> None:
        code = training.exit_code()
        self._training = None
        if self.one_off_command is not None:
            self._exit_code = code
        elif code == 0:
            next_step = RegistryState(self.settings).next_step()
            lifecycle.info("first training ended", extra={"next_step": next_step})
            self._tell(next_step)
        else:
            facts = {"exit_code": code, "next_step": command_text("train")}
            lifecycle.error("first training failed, the platform stays up", extra=facts)

    def _stop(self) -> None:
        self._probe.close()
        force = False
        training = [self._training] if self._training is not None else []
        for child in [*training, *reversed(self.children)]:
            force = child.stop(self.signals, force=force)

    def _tell(self, *lines: str) -> None:
        """Greet whoever started it; a program that reads JSON gets the log lines alone."""
        if not self.settings.json_logs:
            for line in lines:
                print(line, flush=True)
