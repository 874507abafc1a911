"""`mlengine db …`."""

import click

from mlengine.cli.context import Output, current_platform, json_command

db = click.Group("db", help="Bring the audit database to the newest schema.")


@db.command("upgrade")
@json_command
def upgrade() -> Output:
    """Bring the database to the newest schema."""
    current_platform(needs_database=False).control.migrate_and_backfill()
    return Output({"schema": "current"}, "the database is at the newest schema")
