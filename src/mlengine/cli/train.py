"""`flask train`: ask for a training, and watch it; `train_runs.py` has what hangs below it."""

from __future__ import annotations

import sys
import time
from uuid import uuid4

import click

from mlengine.cli import shell
from mlengine.core.runs.run import Run
from mlengine.errors import TrainingInProgress
from mlengine.services.runs.service import RunService

_POLL_SECONDS = 0.3


@click.group("train", invoke_without_command=True)
@click.option("--wait", is_flag=True, help="Show the progress until the run ends.")
@click.option("--first", is_flag=True, help="Do nothing where a model is active; join a live run.")
@shell.as_json
@click.pass_context
def train(context: click.Context, wait: bool, first: bool, json_: bool) -> None:
    """Ask the queue for a training, or see to runs and schedule.

    With the configured recipe, unless a command below is named.
    Exits with 1 when a run that was waited for did not succeed, with 4 when one is under way.
    """
    if context.invoked_subcommand is None:
        _ask(wait, first, json_)


@shell.command
def _ask(wait: bool, first: bool, json_: bool) -> None:
    platform = shell.platform()
    if first and platform.models.active_version():
        click.echo("a model is active already")
        return
    run = _request(platform.control.runs, join=first)
    if wait:
        run = _watch(platform.control.runs, run, quiet=json_)
    if wait and first and run.state == "lost":  # it was the run of a platform that is gone
        run = _watch(platform.control.runs, _request(platform.control.runs, join=True), quiet=json_)
    if json_:
        shell.print_json(run.view(shell.now()))
    else:
        click.echo(last_words(run))
    if wait and run.state != "succeeded":
        raise SystemExit(1)


def _request(runs: RunService, *, join: bool) -> Run:
    try:
        return runs.request_training(
            runs.defaults,
            actor=shell.actor(),
            request_id=uuid4().hex,
            run_id=uuid4().hex,
            now=shell.now(),
        )
    except TrainingInProgress as busy:
        if not join:
            raise
        return runs.get(busy.run_id, now=shell.now())


def _watch(runs: RunService, run: Run, *, quiet: bool) -> Run:
    """Poll until the run ends: a bar on a terminal, a line a stage elsewhere."""
    shown = Nothing() if quiet else Bar() if sys.stderr.isatty() else Lines()
    while run.live:
        shown.show(run)
        time.sleep(_POLL_SECONDS)
        run = runs.get(run.run_id, now=shell.now())
    shown.end(run)
    return run


def last_words(run: Run) -> str:
    if run.state == "succeeded":
        return f"run {run.run_id} succeeded: {run.version}"
    if run.live:
        return f"run {run.run_id} is {run.state}"
    return f"run {run.run_id} {run.state}: {run.error or 'no reason was recorded'}"


def _stage(run: Run) -> str:
    if run.progress is None:
        return "waiting for a worker"
    fold = f" {run.progress.fold} of {run.progress.folds}" if run.progress.fold else ""
    return f"{run.progress.stage}{fold}"


class Nothing:
    def show(self, run: Run) -> None:
        """Show nothing."""

    def end(self, run: Run) -> None:
        """Show nothing."""


class Lines(Nothing):
    def __init__(self) -> None:
        self._said = ""

    def show(self, run: Run) -> None:
        """One line whenever the stage changes."""
        stage = _stage(run)
        if stage != self._said:
            percent = run.progress.percent if run.progress else 0.0
            click.echo(f"training: {percent:3.0f} %  {stage}", err=True)
            self._said = stage


class Bar(Nothing):
    _WIDTH = 30

    def show(self, run: Run) -> None:
        """Redraw the bar in place."""
        percent = run.progress.percent if run.progress else 0.0
        full = round(percent / 100 * self._WIDTH)
        drawn = "#" * full + "-" * (self._WIDTH - full)
        click.echo(
            f"\r\x1b[Ktraining [{drawn}] {percent:3.0f} %  {_stage(run)}", nl=False, err=True
        )

    def end(self, run: Run) -> None:
        """Leave the bar full or where it stopped."""
        if run.state == "succeeded":
            click.echo(f"\r\x1b[Ktraining [{'#' * self._WIDTH}] 100 %", err=True)
        else:
            click.echo(err=True)
