"""`mlengine train`: ask for a training and watch it; what became of others is in `runs.py`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from mlengine.cli.context import (
    actor,
    current_catalog,
    current_control,
    current_settings,
    now,
    platform_command,
)
from mlengine.cli.options import line_option
from mlengine.cli.output import as_json
from mlengine.cli.progress import NoDisplay, ProgressBar, StageLines, describe
from mlengine.cli.runs import cancel, runs, schedule, status
from mlengine.core.runs.run import Run
from mlengine.errors import ArtifactCorrupt, ModelNotFound, TrainingInProgress
from mlengine.logs import lifecycle

if TYPE_CHECKING:
    from mlengine.services.models.catalog import ModelCatalog
    from mlengine.services.runs.service import RunService

_POLL_SECONDS = 0.3


@click.group("train", invoke_without_command=True)
@click.option("--wait", is_flag=True, help="Show the progress until the run ends.")
@click.option("--first", is_flag=True, help="Do nothing where a model is active; join a live run.")
@click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
@line_option
@click.pass_context
def train(context: click.Context, wait: bool, first: bool, json_: bool) -> None:
    """Train once; see to runs and schedule.

    With the configured settings, unless a command below is named. `mlengine train`, also with
    --model, waits, and brings a worker where no platform runs; `flask train` only asks the queue.
    Exits with 1 when a run that was waited for did not succeed, with 4 when one is under way.
    """
    if context.invoked_subcommand is None:
        _train(wait, first, json_)


@platform_command
def _train(wait: bool, first: bool, json_: bool) -> None:
    service, catalog = current_control().runs, current_catalog()
    if first and catalog.active_version():
        click.echo("a model is active already")
        return
    run = _request_run(service, join=first)
    if wait:
        run = _watch(service, run, quiet=json_)
    if wait and first and run.state == "lost":  # it was the run of a platform that is gone
        run = _watch(service, _request_run(service, join=True), quiet=json_)
    if first and current_settings().json_logs:
        lifecycle.info("first training", extra={"outcome": _describe(run, catalog)})
    else:
        click.echo(as_json(run.as_dict(now())) if json_ else _describe(run, catalog))
    if wait and run.state != "succeeded":
        raise SystemExit(1)


def _describe(run: Run, catalog: ModelCatalog) -> str:
    """How `run` goes; of a version that it published, also what became of that, and why."""
    if run.version is None:
        return describe(run)
    try:
        manifest, is_active = catalog.get(run.version)
    except (ArtifactCorrupt, ModelNotFound):
        return describe(run)
    gate = manifest.gate
    if gate.promote and not is_active:
        why = "another version was activated meanwhile, or it waits for approval"
        return f"{describe(run)}, not active ({why})"
    state = "active" if is_active else "not promoted"
    skipped = ", ".join(each.symbol for each in manifest.data.skipped_symbols)
    told = f"; without {skipped}, see `mlengine models show {run.version}`" if skipped else ""
    return f"{describe(run)}, {state} ({gate.reason.replace('_', ' ')}){told}"


def _request_run(runs: RunService, *, join: bool) -> Run:
    from mlengine.services.runs.service import RunRequest  # noqa: PLC0415 - SQLAlchemy

    try:
        request = RunRequest(uuid4().hex, actor(), request_id=uuid4().hex, now=now())
        return runs.request_training({}, request)
    except TrainingInProgress as conflict:
        if not join:
            raise
        return runs.get(conflict.run_id, now=now())


def _watch(runs: RunService, run: Run, *, quiet: bool) -> Run:
    """Poll until the run ends: a bar on a terminal, a line a stage elsewhere."""
    display = NoDisplay() if quiet else ProgressBar() if sys.stderr.isatty() else StageLines()
    while run.unfinished:
        display.update(run)
        time.sleep(_POLL_SECONDS)
        run = runs.get(run.run_id, now=now())
    display.end(run)
    return run


for command in (runs, status, cancel, schedule):
    train.add_command(command)
