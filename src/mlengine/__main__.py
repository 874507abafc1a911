"""`python -m mlengine up|web|worker|migrate|train`, from the project's folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlengine import config, logs, supervisor
from mlengine.config import Settings
from mlengine.config.env_file import load_env_file
from mlengine.errors import BadSetting, CannotStart, MlengineError
from mlengine.stores.system import preflight
from mlengine.supervisor import Commands


def up(settings: Settings) -> int:
    """The whole platform: queue server, worker, web server"""
    return supervisor.up(settings, Commands())


def web(settings: Settings) -> int:
    """The web server alone"""
    preflight.check_artifacts(settings.artifacts_dir)
    _warn_of_universe(settings)
    _check_feature_sets(settings)
    return _become(Commands().web, supervisor.ONE_THREAD)


def worker(settings: Settings) -> int:
    """One training worker alone"""
    preflight.check_artifacts(settings.artifacts_dir)
    preflight.check_universe(settings.train.universe_file)
    _check_feature_sets(settings)
    return _become(Commands().worker, {})


def migrate(settings: Settings) -> int:
    """Bring the database to this version's schema"""
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    preflight.check_artifacts(settings.artifacts_dir)
    build_control(settings).prepare()
    return 0


def prepare(settings: Settings) -> int:
    """What a supervisor has done first, in a child: the database, the runs, the feature sets"""
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    if preflight.holder(settings.artifacts_dir) != os.getppid():
        raise CannotStart("only a supervisor prepares; `migrate` is for hands")
    logs.configure(settings.log_level, json=settings.json_logs)
    control = build_control(settings)
    control.prepare()
    if settings.redis_url is None:  # whose worker was the dead supervisor's child
        control.runs.abandon_all(now=datetime.now(UTC))
    _check_feature_sets(settings)
    return 0


def train(settings: Settings) -> int:
    """One training on the running platform, or with a worker of its own"""
    return supervisor.train_once(settings, Commands())


Command = Callable[[Settings], int]
COMMANDS: dict[str, Command] = {
    command.__name__: command for command in (up, web, worker, migrate, train)
}
INTERNAL: dict[str, Command] = {"prepare": prepare}


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["doctor"]:
        from mlengine.cli.doctor import doctor  # noqa: PLC0415 - starts nothing, and needs much

        doctor.main(list(arguments[1:]), prog_name="python -m mlengine doctor")
    command = {**COMMANDS, **INTERNAL}.get(arguments[0]) if len(arguments) == 1 else None
    if command is None:
        lines = [f"  {name:9} {each.__doc__}" for name, each in COMMANDS.items()]
        print("usage: python -m mlengine COMMAND", *lines, sep="\n")
        return 0 if arguments in (["help"], ["--help"], ["-h"]) else 2
    preflight.check_project_folder(Path.cwd())
    load_env_file(Path.cwd())
    return command(config.load())


def _warn_of_universe(settings: Settings) -> None:
    """The worker reads the file, and may be on another machine."""
    try:
        preflight.check_universe(settings.train.universe_file)
    except BadSetting as missing:
        print(f"mlengine: {missing} where trainings run", file=sys.stderr, flush=True)


def _check_feature_sets(settings: Settings) -> None:
    from mlengine.bootstrap.control import check_feature_sets  # noqa: PLC0415 - SQLAlchemy

    check_feature_sets(settings)


def _become(command: Sequence[str], extra: dict[str, str]) -> int:
    environment = config.environment_for_child(extra)
    os.execvpe(command[0], list(command), environment)  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
