"""`flask db …`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from mlengine.cli import shell

db = AppGroup("db", help="The audit database.")


@db.command("upgrade")
@shell.command
def upgrade() -> None:
    """Bring the database to the newest schema."""
    shell.engine().prepare()
    click.echo("the database is at the newest schema")
