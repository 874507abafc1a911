"""`mlengine dataset export`: the rows behind a version."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from mlengine.cli.context import current_platform, platform_command
from mlengine.cli.options import json_option, parquet_option
from mlengine.cli.output import print_result

dataset = AppGroup("dataset", help="Export the rows that a model was made of.")


@dataset.command("export")
@click.argument("version")
@parquet_option
@json_option
@platform_command
def export(version: str, path: Path, json_: bool) -> None:
    """Write features, labels, fold and role of every row behind VERSION.

    One line for every row and fold; fold 0 is the candidate, whose test part is the holdout.
    """
    table = current_platform().export.write_parquet(version, path)
    print_result(
        table,
        f"{table.rows} rows with {table.features} features, {table.folds} folds and the candidate's"
        f" split of {table.version} are in {table.path}",
        as_json=json_,
    )
