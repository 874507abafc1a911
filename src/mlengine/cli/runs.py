"""`mlengine train runs|status|cancel|schedule`: what became of trainings, and what will be."""

import click

from mlengine.cli.context import Output, actor, current_control, json_command, now
from mlengine.cli.options import line_option
from mlengine.cli.output import format_cell, table
from mlengine.cli.progress import describe
from mlengine.core.runs import cron
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
@line_option
@json_command
def runs(limit: int, state: str | None) -> Output:
    """List runs, newest first."""
    service = current_control().runs
    at = now()
    page = service.page(limit=limit, cursor=None, state=state, now=at)
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
    return Output([run.as_dict(at) for run in page.rows], table(_HEADERS, rows))


@click.command("status")
@click.argument("run_id", required=False)
@line_option
@json_command
def status(run_id: str | None) -> Output:
    """Show the newest run, or the one named.

    --json has its log, parameters and result.
    """
    service = current_control().runs
    at = now()
    run = service.status(run_id, now=at)
    if run is None:
        return Output(None, "there has been no run")
    progress = vars(run.progress) if run.progress else {}
    fields = {**progress, **(run.result or {}), **run.as_dict(at)}
    rows = [(name, fields[name]) for name in _FIELDS if name in fields]
    return Output(run.as_dict(at), table(("field", "value"), rows))


@click.command("cancel")
@click.argument("run_id", required=False)
@line_option
@json_command
def cancel(run_id: str | None) -> Output:
    """Cancel the live run, or the one named."""
    service = current_control().runs
    run = service.cancel(run_id, actor=actor(), now=now())
    return Output(run.as_dict(now()), describe(run))


@click.group("schedule")
def schedule() -> None:
    """The trainings by the clock; TRAIN_SCHEDULE is what it begins with."""


@schedule.command("show")
@line_option
@json_command
def show() -> Output:
    """Show the schedule, its last tick and the next ones.

    Also whether a worker is there for them.
    """
    schedules = current_control().schedules
    timetable = schedules.timetable(now=now())
    if timetable.expression is None:
        return Output(timetable, "nothing is scheduled")
    rows = [("expression", timetable.expression), ("last tick", timetable.last_tick)]
    ticks = [("next tick", tick) for tick in timetable.next_ticks]
    text = table(("schedule", "UTC"), [*rows, *ticks, ("workers alive", timetable.workers)])
    if timetable.configured not in (None, timetable.expression):
        text += f"\nTRAIN_SCHEDULE of this host is {timetable.configured}, which does not count"
    if not timetable.workers:
        text += "\nno worker is alive: a tick that is missed runs once after the next start"
    return Output(timetable, text)


@schedule.command("set")
@click.argument("expression")
@line_option
@json_command
def set_(expression: str) -> Output:
    """Train by EXPRESSION on all hosts.

    Five cron fields in UTC, such as "30 2 * * 1-5".
    """
    try:
        return _change(cron.parse_cron(expression))
    except ValueError:
        raise click.BadParameter(f"{expression!r} is not {cron.EXPECTED}") from None


@schedule.command("clear")
@line_option
@json_command
def clear() -> Output:
    """Train by no clock any more."""
    return _change(None)


def _change(expression: str | None) -> Output:
    schedules = current_control().schedules
    schedules.set_expression(expression, actor=actor(), now=now())
    timetable = schedules.timetable(now=now())
    if expression is None:
        return Output(timetable, "nothing is scheduled")
    return Output(timetable, f"the next tick is {format_cell(timetable.next_ticks[0])}")
