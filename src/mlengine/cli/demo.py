"""`mlengine demo`: a folder with a year of predictions, trainings and history to look at."""

from datetime import UTC, datetime
from pathlib import Path

import click

from mlengine.config import Settings
from mlengine.config.env_writer import write_env_file_if_missing
from mlengine.config.logging import configure_logs
from mlengine.errors import MlengineError


@click.command("demo")
@click.argument("folder", default="demo", type=click.Path(file_okay=False, path_type=Path))
def demo(folder: Path) -> None:
    """Replay a year of the sample into a folder, to look at.

    Bar by bar, with predictions, quarterly trainings, a late bar and a dividend, so that the
    audit, the history, the quality of bars and the monitoring have something to show. FOLDER must
    be new or empty; then `mlengine up` in it serves the result.
    """
    from mlengine.bootstrap.demo import simulate_year  # noqa: PLC0415 - Polars and LightGBM

    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_env_file(folder)
    except OSError as error:
        raise click.ClickException(f"{folder} can't be written: {error.strerror}") from error
    settings = Settings.from_env(
        {
            "ARTIFACTS_DIR": str(folder / "artifacts"),
            "MARKET_DATA_DIR": str(folder / "bars"),
            "MARKET_DATA_CACHE_SECONDS": "0",
            "TRAIN_CV_FOLDS": "2",
            "TRAIN_ROUNDS": "100",
        }
    )
    configure_logs(settings, is_command=True)
    try:
        result = simulate_year(
            settings, folder / "bars", today=datetime.now(UTC).date(), report=click.echo
        )
    except MlengineError as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"{result.predictions} predictions and {result.versions} versions through {result.through}"
        f"\nserve it: cd {folder} && mlengine up"
    )


def _write_env_file(folder: Path) -> None:
    write_env_file_if_missing(folder)
    with (folder / ".env").open("a", encoding="utf-8") as file:
        file.write("\nMARKET_DATA_DIR=bars\n")
