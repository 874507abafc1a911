"""`flask db …`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from mlengine.cli import shell

db = AppGroup("db", help="The audit database.")


@db.command("upgrade")
@shell.as_json
@shell.command
def upgrade(json_: bool) -> None:
    """Bring the database to the newest schema."""
    shell.platform().control.prepare()
    shell.print_json({"schema": "current"}) if json_ else click.echo(
        "the database is at the newest schema"
    )
