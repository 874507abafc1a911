"""`mlengine db …`."""

from __future__ import annotations

from flask.cli import AppGroup

from mlengine.cli.context import current_platform, platform_command
from mlengine.cli.options import json_option
from mlengine.cli.output import print_result

db = AppGroup("db", help="Bring the audit database to the newest schema.")


@db.command("upgrade")
@json_option
@platform_command
def upgrade(json_: bool) -> None:
    """Bring the database to the newest schema."""
    current_platform().control.prepare()
    print_result({"schema": "current"}, "the database is at the newest schema", as_json=json_)
