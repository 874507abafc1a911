"""`flask dataset export`: the rows behind a version."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from mlengine.cli import shell

dataset = AppGroup("dataset", help="The rows that a model was made of.")


@dataset.command("export")
@click.argument("version")
@click.option(
    "--parquet",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced.",
)
@shell.as_json
@shell.command
def export(version: str, path: Path, json_: bool) -> None:
    """Write features, labels, fold and role of every row behind VERSION.

    One line for every row and fold; fold 0 is the candidate, whose test part is the holdout.
    """
    done = shell.platform().export.write_parquet(version, path)
    shell.print_json(done) if json_ else click.echo(
        f"{done.rows} rows with {done.features} features, {done.folds} folds and the candidate's"
        f" split of {done.version} are in {done.path}"
    )
