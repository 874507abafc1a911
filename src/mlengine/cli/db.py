"""`mlengine db …`."""

import time
from pathlib import Path

import click

from mlengine.cli.context import Output, current_control, current_platform, json_command, now
from mlengine.cli.output import format_cell, format_size, table

db = click.Group("db", help="Show, copy and upgrade the audit database.")


@db.command("status")
@json_command
def status() -> Output:
    """Show the schema of the database and the one of this version."""
    from mlengine.stores.database.engine import reading, schema_revision  # noqa: PLC0415
    from mlengine.stores.database.tables import REVISION  # noqa: PLC0415 - SQLAlchemy

    with reading(current_control().database) as connection:
        revision = schema_revision(connection)
    states = {None: "not migrated", REVISION: "current"}
    newer = revision is not None and revision > REVISION
    state = states.get(revision, "newer" if newer else "older")
    document = {"schema": revision, "schema_of_this_version": REVISION, "state": state}
    rows = [[name.replace("_", " "), format_cell(value)] for name, value in document.items()]
    return Output(document, table(["what", "value"], rows))


@db.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@json_command
def backup(file: Path) -> Output:
    """Copy a SQLite database to FILE, also while the platform runs."""
    from mlengine.stores.database.backup import write_backup  # noqa: PLC0415 - SQLAlchemy

    size = write_backup(current_control().database, file)
    return Output({"file": str(file), "bytes": size}, f"{file}: {format_size(size)}")


@db.command("partition")
@json_command
def partition() -> Output:
    """Give PostgreSQL's predictions a partition a day.

    Also while the platform runs. A new database has them. One that is older gets them in steps,
    each of which is printed: two indexes and one look at all rows while others read and write, then
    one moment alone.
    """
    from mlengine.stores.database.server.partitioning import partitioning_steps  # noqa: PLC0415

    took = []
    for name, run in partitioning_steps(current_control().database, now=now()):
        begun = time.monotonic()
        click.echo(f"{name} …", err=True)
        run()
        took.append({"step": name, "seconds": round(time.monotonic() - begun, 1)})
    rows = [[each["step"], each["seconds"]] for each in took]
    text = table(["step", "seconds"], rows) if took else "there is nothing to partition"
    return Output({"steps": took}, text)


@db.command("upgrade")
@json_command
def upgrade() -> Output:
    """Bring the database to the newest schema."""
    current_platform(needs_database=False).control.migrate_and_backfill()
    return Output({"schema": "current"}, "the database is at the newest schema")
