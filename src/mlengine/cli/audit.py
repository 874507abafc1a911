"""`flask audit …`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from mlengine.cli import shell

audit = AppGroup("audit", help="What was predicted.")


@audit.command("tail")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--symbol")
@click.option("--version")
@shell.as_json
@shell.command
def tail(limit: int, symbol: str | None, version: str | None, json_: bool) -> None:
    """Show the newest predictions, failures included."""
    page = shell.engine().audit.recent(limit=limit, symbol=symbol, version=version)
    if json_:
        shell.print_json(page)
        return
    shell.print_table(
        ["at", "symbol", "bar", "prediction", "score", "model", "error"],
        [
            [row.at, row.symbol, row.bar_timestamp, row.prediction, row.score]
            + [row.model_version, row.error_code]
            for row in page.rows
        ],
    )


@audit.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shell.as_json
@shell.command
def clear(yes: bool, json_: bool) -> None:
    """Delete every prediction and vector; runs and events stay, and this is noted there."""
    if not yes:
        click.confirm("Delete every audited prediction?", abort=True)
    count = shell.engine().audit.clear(actor=shell.actor(), now=shell.now())
    shell.print_json({"cleared": count}) if json_ else click.echo(f"{count} predictions deleted")
