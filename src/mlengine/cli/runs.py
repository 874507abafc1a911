"""`mlengine train runs|status|cancel|schedule`: what became of trainings, and what will be."""

from __future__ import annotations

import click

from mlengine.cli.context import actor, current_platform, now, platform_command
from mlengine.cli.options import json_option
from mlengine.cli.output import print_json, print_result, print_table
from mlengine.cli.progress import describe
from mlengine.core.runs.run import STATES

_DEFAULT_LIMIT = 20
_FIELDS = (
    *("run_id", "kind", "state", "stage", "percent", "eta_seconds", "queued_at", "started_at"),
    *("ended_at", "lease_until", "version", "identical", "error", "note", "actor", "request_id"),
)
_HEADERS = ("run", "kind", "state", "%", "queued", "ended", "version", "by")


@click.command("runs")
@click.option("--limit", type=click.IntRange(1, 1000), default=_DEFAULT_LIMIT, show_default=True)
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@json_option
@platform_command
def runs(limit: int, state: str | None, json_: bool) -> None:
    """List runs, newest first."""
    at = now()
    page = current_platform().control.runs.page(limit=limit, cursor=None, state=state, now=at)
    if json_:
        print_json([run.view(at) for run in page.rows])
        return
    rows = [
        (
            run.run_id,
            run.kind,
            run.state,
            run.progress.percent if run.progress else None,
            run.queued_at,
            run.ended_at,
            run.version,
            run.actor,
        )
        for run in page.rows
    ]
    print_table(_HEADERS, rows)


@click.command("status")
@click.argument("run_id", required=False)
@json_option
@platform_command
def status(run_id: str | None, json_: bool) -> None:
    """Show the newest run, or the one named.

    --json has its log, parameters and result.
    """
    at = now()
    run = current_platform().control.runs.status(run_id, now=at)
    if json_:
        print_json(run.view(at) if run else None)
    elif run is None:
        click.echo("there has been no run")
    else:
        fields = {
            **(vars(run.progress) if run.progress else {}),
            **(run.result or {}),
            **run.view(at),
        }
        rows = [(name, fields[name]) for name in _FIELDS if name in fields]
        print_table(("field", "value"), rows)


@click.command("cancel")
@click.argument("run_id", required=False)
@json_option
@platform_command
def cancel(run_id: str | None, json_: bool) -> None:
    """Cancel the live run, or the one named."""
    run = current_platform().control.runs.cancel(run_id, actor=actor(), now=now())
    print_result(run.view(now()), describe(run), as_json=json_)


@click.group("schedule")
def schedule() -> None:
    """The trainings by the clock (TRAIN_SCHEDULE)."""


@schedule.command("show")
@json_option
@platform_command
def show(json_: bool) -> None:
    """Show the schedule, its last tick and the next ones.

    Also whether a worker is there for them.
    """
    table = current_platform().control.schedules.timetable(now=now())
    if json_:
        print_json(table)
        return
    if table.expression is None:
        click.echo("nothing is scheduled: TRAIN_SCHEDULE is empty")
        return
    rows = [("expression", table.expression), ("last tick", table.last_tick)]
    ticks = [("next tick", tick) for tick in table.next_ticks]
    print_table(("schedule", "UTC"), [*rows, *ticks, ("workers alive", table.workers)])
    if not table.workers:
        click.echo("no worker is alive: a tick that is missed runs once after the next start")
