"""What a command runs in: the platform, the clock, who runs it, and how an error ends it.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 a training is under way,
5 something that is needed can't be reached.
"""

from __future__ import annotations

import functools
import getpass
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import click

from mlengine.cli.output import as_json
from mlengine.config import Settings
from mlengine.config.env_file import load_with_env_file
from mlengine.config.inspection import redis_url_suffix
from mlengine.config.logging import configure_logs
from mlengine.core.line_names import MODEL_LINE
from mlengine.errors import (
    ArtifactsUnavailable,
    DatabaseUnavailable,
    ExportNotFound,
    HookNotFound,
    KeyNotFound,
    MlengineError,
    ModelNotFound,
    NoUnfinishedRun,
    PredictionNotFound,
    QueueUnavailable,
    RunNotFound,
    TrainingInProgress,
    UnknownSymbol,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    from mlengine.bootstrap.control import ControlPlane
    from mlengine.bootstrap.platform import Platform
    from mlengine.services.models.catalog import ModelCatalog

P = ParamSpec("P")
R = TypeVar("R")

_PLATFORM, _CONTROL, _SETTINGS = "mlengine", "mlengine.control", "mlengine.settings"
_LINE = "mlengine.line"
_NOT_FOUND = (
    *(ExportNotFound, HookNotFound, KeyNotFound, ModelNotFound, NoUnfinishedRun),
    *(PredictionNotFound, RunNotFound, UnknownSymbol),
)
_UNREACHABLE = (DatabaseUnavailable, QueueUnavailable, UpstreamUnavailable)


@dataclass(frozen=True)
class Output:
    """What a command has to say: a document for programs, a text for people."""

    document: object
    text: str
    exit_code: int = 0


def current_platform(*, needs_database: bool = True) -> Platform:
    """The platform of the app that runs the command, of the model line that it names.

    Raises DatabaseUnavailable where it was never started, unless the command can do without.
    """
    context = click.get_current_context()
    if _PLATFORM not in context.meta:
        enter_app(context)
        with suppress(ArtifactsUnavailable):  # what this host has of a shared registry is shown
            cast("Platform", context.meta[_PLATFORM]).registry.refresh()
    platform = cast("Platform", context.meta[_PLATFORM])
    if needs_database:
        platform.control.require_database()
    return platform.of_line(asked_line())


def current_control() -> ControlPlane:
    """The part of it that works without bars and models; raises as `current_platform`."""
    meta = click.get_current_context().meta
    if _PLATFORM in meta:
        return current_platform().control
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    if _CONTROL not in meta:
        meta[_CONTROL] = build_control(meta[_SETTINGS])
    control = cast("ControlPlane", meta[_CONTROL])
    control.require_database()
    return control if asked_line() == MODEL_LINE else _control_of_line(control, asked_line())


def _control_of_line(control: ControlPlane, name: str) -> ControlPlane:
    from mlengine.bootstrap.lines import control_of_line  # noqa: PLC0415 - as the control plane

    return control_of_line(control, current_settings(), control.lines.directory.find(name))


def current_catalog() -> ModelCatalog:
    """Its versions, from their files alone; raises as `current_platform`."""
    from mlengine.bootstrap.catalog import build_catalog  # noqa: PLC0415 - the manifest's types

    if asked_line() != MODEL_LINE:
        current_control()  # so that a line that there is not is told
    return build_catalog(current_settings(), asked_line())


def ask_line(context: click.Context, _: click.Parameter, name: str | None) -> None:
    """Let the command be about a model line: see `line_option`."""
    if name is not None:
        context.meta[_LINE] = name


def asked_line() -> str:
    """The model line that the command is about, `main` unless it names one."""
    return asked_line_or_none() or MODEL_LINE


def asked_line_or_none() -> str | None:
    """As `asked_line`; None where the command names none."""
    return cast("str | None", click.get_current_context().meta.get(_LINE))


def current_settings() -> Settings:
    """The settings that the command runs with."""
    return cast("Settings", click.get_current_context().meta[_SETTINGS])


def now() -> datetime:
    """The platform's clock where the command has asked for the platform, else this machine's."""
    meta = click.get_current_context().meta
    control = meta[_PLATFORM].control if _PLATFORM in meta else meta.get(_CONTROL)
    return cast("datetime", control.clock()) if control else datetime.now(UTC)


def actor() -> str:
    """Who runs the command, for the history."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def platform_command(function: Callable[P, R]) -> Callable[P, R]:
    """Run with the settings of this folder; a domain error is one line and its exit code."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        settings = _enter(click.get_current_context())
        try:
            return function(*args, **kwargs)
        except MlengineError as error:
            hint = redis_url_suffix(settings) if isinstance(error, QueueUnavailable) else ""
            click.echo(f"{error.code}: {error}{hint}", err=True)
            raise SystemExit(exit_code(error)) from None

    return guarded


def _enter(context: click.Context) -> Settings:
    """The settings of the app of `flask`, else those of this folder."""
    flask = sys.modules.get("flask.cli")
    if flask and (flask.current_app or context.find_object(flask.ScriptInfo)):
        return enter_app(context)
    settings = load_with_env_file(Path.cwd())
    configure_logs(settings, is_command=True)
    context.meta[_SETTINGS] = settings
    return settings


def enter_app(context: click.Context) -> Settings:
    """Run the rest of the command in the app of `flask`, else in that of this folder.

    The app brings all libraries along: without it a command takes next to no time.
    """
    from flask import current_app  # noqa: PLC0415 - see above
    from flask.cli import ScriptInfo  # noqa: PLC0415

    if not current_app:
        script = context.find_object(ScriptInfo) or ScriptInfo(app_import_path="mlengine.wsgi")
        context.with_resource(script.load_app().app_context())
    settings = cast("Settings", current_app.extensions[_SETTINGS])
    configure_logs(settings, is_command=True)
    context.meta.update({key: current_app.extensions[key] for key in (_PLATFORM, _SETTINGS)})
    return settings


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
