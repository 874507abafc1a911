"""`mlengine dataset export`: the rows behind a version."""

from pathlib import Path

import click

from mlengine.cli.context import Output, current_platform, json_command
from mlengine.cli.options import line_option, parquet_option

dataset = click.Group("dataset", help="Export the rows that a model was made of.")


@dataset.command("export")
@click.argument("version")
@parquet_option
@line_option
@json_command
def export(version: str, path: Path) -> Output:
    """Write features, labels, fold and role of every row behind VERSION.

    One line for every row and fold; fold 0 is the candidate, whose test part is the holdout.
    """
    summary = current_platform().reproduction.export_dataset(version, path)
    return Output(
        summary,
        f"{summary.rows} rows with {summary.features} features, {summary.folds} folds and the "
        f"candidate's split of {summary.version} are in {summary.path}",
    )
