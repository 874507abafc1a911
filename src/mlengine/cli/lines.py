"""`mlengine lines …`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mlengine.cli.comparison import comparison_text
from mlengine.cli.context import (
    Output,
    actor,
    current_control,
    current_platform,
    current_settings,
    json_command,
    now,
)
from mlengine.cli.output import table
from mlengine.core.line_names import MODEL_LINE

if TYPE_CHECKING:
    from mlengine.services.lines.service import LineSummary

lines = click.Group("lines", help="List, copy, compare and retire model lines.")

_HEADERS = ("line", "state", "active", "versions", "interval", "horizon", "schedule", "by")


@lines.command("list")
@json_command
def list_lines() -> Output:
    """List every model line, main first."""
    listed = current_control().lines.list()
    return Output(listed, table(_HEADERS, list(map(_row, listed))))


@lines.command("copy")
@click.argument("line")
@click.argument("name")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of the recipe that is to be another, such as horizon_bars=20.",
)
@json_command
def copy(line: str, name: str, changes: tuple[str, ...]) -> Output:
    """Make NAME a line like LINE.

    With its recipe as it is now, its interval and its schedule; it has no versions yet.
    """
    made = current_control().lines.copy(
        line, name, dict(map(_parse_change, changes)), actor=actor(), now=now()
    )
    return Output(made, table(_HEADERS, [_row(made)]))


@lines.command("compare")
@click.argument("a")
@click.argument("b")
@json_command
def compare(a: str, b: str) -> Output:
    """Compare the active versions of the lines A and B.

    On rows that neither had seen, and in their recipes.
    """
    if a == b:
        raise click.UsageError("name two lines")
    from mlengine.services.models.service import compare_champions  # noqa: PLC0415 - LightGBM

    platform = current_platform()
    comparison = compare_champions({name: platform.of_line(name).models for name in (a, b)})
    return Output(comparison, comparison_text(comparison))


@lines.command("retire")
@click.argument("line")
@json_command
def retire(line: str) -> Output:
    """Let LINE serve and train no more.

    Its live run is cancelled; versions, predictions and history stay.
    """
    retired = current_control().lines.retire(line, actor=actor(), now=now())
    return Output(retired, f"{line} is retired")


def _row(line: LineSummary) -> list[object]:
    schedule = line.schedule
    if line.name == MODEL_LINE:
        schedule = schedule or current_settings().train_schedule
    return [
        *(line.name, line.state, line.active_version, line.versions, line.interval),
        *(line.recipe["horizon_bars"], schedule, line.actor),
    ]


def _parse_change(text: str) -> tuple[str, object]:
    """A value is JSON, or else the text itself."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not FIELD=VALUE", param_hint="--set")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
