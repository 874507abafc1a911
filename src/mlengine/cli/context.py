"""What a command runs in: the platform, the clock, who runs it, and how an error ends it.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 a training is under way,
5 something that is needed can't be reached.
"""

import functools
import getpass
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import click
from flask import current_app
from flask.cli import with_appcontext

from mlengine.bootstrap.platform import Platform
from mlengine.cli.output import as_json
from mlengine.errors import (
    DatabaseUnavailable,
    MlengineError,
    ModelNotFound,
    NoLiveRun,
    PredictionNotFound,
    QueueUnavailable,
    RunNotFound,
    TrainingInProgress,
    UnknownSymbol,
    UpstreamUnavailable,
)

P = ParamSpec("P")
R = TypeVar("R")

_NOT_FOUND = (ModelNotFound, NoLiveRun, PredictionNotFound, RunNotFound, UnknownSymbol)
_UNREACHABLE = (DatabaseUnavailable, QueueUnavailable, UpstreamUnavailable)


@dataclass(frozen=True)
class Output:
    """What a command has to say: a document for programs, a text for people."""

    document: object
    text: str
    exit_code: int = 0


def current_platform() -> Platform:
    """The platform of the app that runs the command."""
    platform: Platform = current_app.extensions["mlengine"]
    return platform


def now() -> datetime:
    """The clock of this door."""
    return datetime.now(UTC)


def actor() -> str:
    """Who runs the command, for the history."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def platform_command(function: Callable[P, R]) -> Callable[P, R]:
    """Run in the app's context; a domain error is one line and its exit code."""

    @with_appcontext
    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except MlengineError as error:
            click.echo(f"{error.code}: {error}", err=True)
            raise SystemExit(exit_code(error)) from None

    return guarded


def json_command(function: Callable[..., Output]) -> Callable[..., None]:
    """A platform command with `--json`, whose output is printed the one way or the other."""

    @click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
    @platform_command
    @functools.wraps(function)
    def printing(*args: object, json_: bool, **kwargs: object) -> None:
        output = function(*args, **kwargs)
        click.echo(as_json(output.document) if json_ else output.text)
        if output.exit_code:
            raise SystemExit(output.exit_code)

    return printing


def exit_code(error: MlengineError) -> int:
    """The exit code of a domain error."""
    if isinstance(error, TrainingInProgress):
        return 4
    if isinstance(error, _NOT_FOUND):
        return 3
    return 5 if isinstance(error, _UNREACHABLE) else 1
