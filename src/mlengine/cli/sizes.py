"""`mlengine sizes`: what each part of the platform takes on disk."""

from __future__ import annotations

import click

from mlengine.cli.context import Output, current_settings, json_command
from mlengine.cli.output import format_size, table


@click.command("sizes")
@click.option("--exact", is_flag=True, help="Count large tables too, however long it takes.")
@json_command
def sizes(exact: bool) -> Output:
    """Show what each part takes on disk.

    Versions, database, spool, queue. Works beside a running platform, too.
    """
    from mlengine.services.diagnosis.sizes import measure_sizes  # noqa: PLC0415 - as the others

    settings = current_settings()
    measured = measure_sizes(settings.artifacts_dir, settings.audit_database_url, exact=exact)
    depths: dict[str | None, int] = {None: -1}
    rows = []
    for each in measured.parts:
        depths[each.part] = depths[each.within] + 1
        name = f"{'  ' * depths[each.part]}{each.part}"
        size = None if each.bytes is None else format_size(each.bytes)
        rows.append([name, size, each.files, each.rows])
    rows.append(["total", format_size(measured.total_bytes), None, None])
    text = table(["part", "size", "files", "rows"], rows)
    return Output(measured, f"{text}\n{measured.problem}" if measured.problem else text)
