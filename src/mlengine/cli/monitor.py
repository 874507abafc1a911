"""`flask monitor …`: the monitoring routes for the terminal."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from mlengine.cli import shell

monitor = AppGroup("monitor", help="Drift, freshness, latency and history.")


@monitor.command("drift")
@click.option("--window", default=250, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--version")
@shell.command
def drift(window: int, version: str | None) -> None:
    """Compare the newest distinct bars with the model's reference."""
    shell.print_json(
        shell.engine().monitoring.drift(window=window, version=version, now=shell.now())
    )


@monitor.command("freshness")
@shell.command
def freshness() -> None:
    """How old the bars, the model and the last prediction are."""
    shell.print_json(shell.engine().monitoring.freshness(now=shell.now()))


@monitor.command("latency")
@click.option("--window", default=3600, show_default=True, type=click.IntRange(1, 31 * 86_400))
@shell.command
def latency(window: int) -> None:
    """Quantiles by route and stage over the last WINDOW seconds."""
    shell.print_json(shell.engine().monitoring.latency(window_seconds=window, now=shell.now()))


@monitor.command("history")
@click.option("--kind")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@shell.as_json
@shell.command
def history(kind: str | None, limit: int, json_: bool) -> None:
    """Show trainings, activations, rollbacks, reloads and audit clears, newest first."""
    page = shell.engine().monitoring.history(kind=kind, limit=limit, cursor=None)
    if json_:
        shell.print_json(page)
        return
    shell.print_table(
        ["at", "kind", "version", "actor", "details"],
        [[event.at, event.kind, event.version, event.actor, event.details] for event in page.rows],
    )
