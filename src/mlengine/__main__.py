"""`python -m mlengine up|web|worker|migrate|train`, from the project's folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mlengine import config, supervisor
from mlengine.config import Settings
from mlengine.env_file import load_env_file
from mlengine.errors import MlengineError
from mlengine.supervisor import Commands, preflight


def up(settings: Settings) -> int:
    """The whole platform: queue server, worker, web server"""
    return supervisor.up(settings, Commands())


def web(settings: Settings) -> int:
    """The web server alone"""
    preflight.check_artifacts(settings.artifacts_dir)
    return _become(Commands().web, supervisor.ONE_THREAD)


def worker(settings: Settings) -> int:
    """One training worker alone"""
    preflight.check_artifacts(settings.artifacts_dir)
    return _become(Commands().worker, {})


def migrate(settings: Settings) -> int:
    """Bring the database to this version's schema"""
    from mlengine.bootstrap import build_control  # noqa: PLC0415 - SQLAlchemy

    preflight.check_artifacts(settings.artifacts_dir)
    build_control(settings).prepare()
    return 0


def train(settings: Settings) -> int:
    """One training on the running platform, or with a worker of its own"""
    return supervisor.train_once(settings, Commands())


COMMANDS: dict[str, Callable[[Settings], int]] = {
    command.__name__: command for command in (up, web, worker, migrate, train)
}


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        lines = [f"  {name:9} {command.__doc__}" for name, command in COMMANDS.items()]
        print("usage: python -m mlengine COMMAND", *lines, sep="\n")
        return 0 if arguments in (["help"], ["--help"], ["-h"]) else 2
    preflight.check_project_folder(Path.cwd())
    load_env_file(Path.cwd())
    return COMMANDS[arguments[0]](config.load())


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
