"""What every command shares: the platform, the moment, exit codes and two ways to print.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 a training is under way,
5 something that is needed can't be reached.
"""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import ParamSpec, TypeVar

import click
import orjson
from flask import current_app
from flask.cli import with_appcontext

from mlengine.bootstrap.platform import Platform
from mlengine.core import serialization
from mlengine.core.timestamps import parse_rfc3339, rfc3339
from mlengine.errors import (
    AuditUnavailable,
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

_DATE_LENGTH = len("2013-02-01")
_NOT_FOUND = (ModelNotFound, NoLiveRun, PredictionNotFound, RunNotFound, UnknownSymbol)
_OUT_OF_REACH = (AuditUnavailable, QueueUnavailable, UpstreamUnavailable)

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")


def platform() -> Platform:
    """The platform of the app that runs the command."""
    found: Platform = current_app.extensions["mlengine"]
    return found


def now() -> datetime:
    """The clock of this door."""
    return datetime.now(UTC)


def actor() -> str:
    """Who runs the command, for the history."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def command(function: Callable[P, R]) -> Callable[P, R]:
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


def exit_code(error: MlengineError) -> int:
    """The exit code of a domain error."""
    if isinstance(error, TrainingInProgress):
        return 4
    if isinstance(error, _NOT_FOUND):
        return 3
    return 5 if isinstance(error, _OUT_OF_REACH) else 1


def print_json(value: object) -> None:
    """One JSON document, numbers to their last bit."""
    click.echo(orjson.dumps(serialization.to_plain(value), option=orjson.OPT_INDENT_2).decode())


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Left-aligned columns under their headers."""
    lines = [[str(cell) for cell in headers], *[[shown(cell) for cell in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def shown(value: object) -> str:
    """A cell as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return rfc3339(value.replace(microsecond=0))
    return str(value)


class Moment(click.ParamType[datetime]):
    """RFC 3339 with a zone, or a bare date, which means the end of that day."""

    name = "moment"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        text = str(value)
        try:
            moment = _end_of_day(text) if len(text) == _DATE_LENGTH else parse_rfc3339(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no date and no RFC 3339 moment with a zone", param, ctx)
        if moment > now():
            self.fail(f"{text!r} lies in the future", param, ctx)
        return moment


class Instant(click.ParamType[datetime]):
    """RFC 3339 with a zone, or a bare date, which means the beginning of that day."""

    name = "moment"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        text = str(value)
        try:
            return parse_rfc3339(f"{text}T00:00Z" if len(text) == _DATE_LENGTH else text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no date and no RFC 3339 moment with a zone", param, ctx)


def _end_of_day(text: str) -> datetime:
    day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    return day + timedelta(days=1)


since = click.option("--since", type=Instant(), help="Predictions made from then on.")
until = click.option("--until", type=Instant(), help="Predictions made before then.")
as_of = click.option("--as-of", type=Moment(), help="Only bars known then.")
