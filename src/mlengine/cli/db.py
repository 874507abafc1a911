"""`mlengine db …`."""

from flask.cli import AppGroup

from mlengine.cli.context import Output, current_platform, json_command

db = AppGroup("db", help="Bring the audit database to the newest schema.")


@db.command("upgrade")
@json_command
def upgrade() -> Output:
    """Bring the database to the newest schema."""
    current_platform().control.prepare()
    return Output({"schema": "current"}, "the database is at the newest schema")
