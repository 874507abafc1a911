"""How a run's progress is shown while a command waits for it."""

import click

from mlengine.core.runs.run import Run
from mlengine.logs import lifecycle


def describe(run: Run) -> str:
    if run.state == "succeeded":
        return f"run {run.run_id} succeeded: {run.version}"
    if run.unfinished:
        return f"run {run.run_id} is {run.state}"
    return f"run {run.run_id} {run.state}: {run.error or 'no reason was recorded'}"


def _stage(run: Run) -> str:
    if run.progress is None:
        return "waiting for a worker"
    fold = f" {run.progress.fold} of {run.progress.folds}" if run.progress.fold else ""
    return f"{run.progress.stage}{fold}"


class NoDisplay:
    def update(self, run: Run) -> None:
        """Show nothing."""

    def end(self, run: Run) -> None:
        """Show nothing."""


class StageLines(NoDisplay):
    """A line of the log whenever the stage changes."""

    def __init__(self) -> None:
        self._last_stage = ""

    def update(self, run: Run) -> None:
        """Log a stage that is new."""
        stage = _stage(run)
        if stage != self._last_stage:
            percent = run.progress.percent if run.progress else 0.0
            facts = {"run_id": run.run_id, "stage": stage, "percent": round(percent)}
            lifecycle.info("training", extra=facts)
            self._last_stage = stage


class ProgressBar(NoDisplay):
    _WIDTH = 30

    def update(self, run: Run) -> None:
        """Redraw the bar in place."""
        percent = run.progress.percent if run.progress else 0.0
        filled = round(percent / 100 * self._WIDTH)
        bar = "#" * filled + "-" * (self._WIDTH - filled)
        click.echo(f"\r\x1b[Ktraining [{bar}] {percent:3.0f} %  {_stage(run)}", nl=False, err=True)

    def end(self, run: Run) -> None:
        """Leave the bar full or where it stopped."""
        if run.state == "succeeded":
            click.echo(f"\r\x1b[Ktraining [{'#' * self._WIDTH}] 100 %", err=True)
        else:
            click.echo(err=True)
