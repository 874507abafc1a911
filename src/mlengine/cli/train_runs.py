"""`flask train runs|status|cancel|schedule`: what became of trainings, and what will be."""

from __future__ import annotations

import click

from mlengine.cli import shell
from mlengine.cli.train import last_words
from mlengine.core.runs.run import STATES

_SHOWN_RUNS = 20
_FACTS = (
    *("run_id", "kind", "state", "stage", "percent", "eta_seconds", "queued_at", "started_at"),
    *("ended_at", "lease_until", "version", "identical", "error", "note", "actor", "request_id"),
)
_HEADERS = ("run", "kind", "state", "%", "queued", "ended", "version", "by")


@click.command("runs")
@click.option("--limit", type=click.IntRange(1, 1000), default=_SHOWN_RUNS, show_default=True)
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@shell.as_json
@shell.command
def runs(limit: int, state: str | None, json_: bool) -> None:
    """List runs, newest first."""
    now = shell.now()
    page = shell.platform().control.runs.page(limit=limit, cursor=None, state=state, now=now)
    if json_:
        shell.print_json([run.view(now) for run in page.rows])
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
    shell.print_table(_HEADERS, rows)


@click.command("status")
@click.argument("run_id", required=False)
@shell.as_json
@shell.command
def status(run_id: str | None, json_: bool) -> None:
    """Show the newest run, or the one named.

    --json has its log, parameters and result.
    """
    now = shell.now()
    run = shell.platform().control.runs.status(run_id, now=now)
    if json_:
        shell.print_json(run.view(now) if run else None)
    elif run is None:
        click.echo("there has been no run")
    else:
        told = {
            **(vars(run.progress) if run.progress else {}),
            **(run.result or {}),
            **run.view(now),
        }
        facts = [(name, told[name]) for name in _FACTS if name in told]
        shell.print_table(("field", "value"), facts)


@click.command("cancel")
@click.argument("run_id", required=False)
@shell.as_json
@shell.command
def cancel(run_id: str | None, json_: bool) -> None:
    """Cancel the live run, or the one named."""
    run = shell.platform().control.runs.cancel(run_id, actor=shell.actor(), now=shell.now())
    if json_:
        shell.print_json(run.view(shell.now()))
    else:
        click.echo(last_words(run))


@click.group("schedule")
def schedule() -> None:
    """The trainings by the clock (TRAIN_SCHEDULE)."""


@schedule.command("show")
@shell.as_json
@shell.command
def show(json_: bool) -> None:
    """Show the schedule, its last tick and the next ones.

    Also whether a worker is there for them.
    """
    table = shell.platform().control.schedules.timetable(now=shell.now())
    if json_:
        shell.print_json(table)
        return
    if table.expression is None:
        click.echo("nothing is scheduled: TRAIN_SCHEDULE is empty")
        return
    facts = [("expression", table.expression), ("last tick", table.last_tick)]
    ticks = [("next tick", tick) for tick in table.next_ticks]
    shell.print_table(("schedule", "UTC"), [*facts, *ticks, ("workers alive", table.workers)])
    if not table.workers:
        click.echo("no worker is alive: a tick that is missed runs once after the next start")


COMMANDS = (runs, status, cancel, schedule)
