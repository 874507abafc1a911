"""`flask models reproduce` and `flask models card`: how a version came to be, checked and told."""

from __future__ import annotations

from pathlib import Path

import click

from mlengine.cli import shell
from mlengine.cli.models import models
from mlengine.core.runs.progress import ignore_progress
from mlengine.errors import CannotWrite
from mlengine.services.training.reproduction import Reproduction

__all__ = ["models"]


@models.command("reproduce")
@click.argument("version")
@click.option("--upstream", is_flag=True, help="Ask the upstream for the recorded bars, too.")
@shell.as_json
@shell.command
def reproduce(version: str, upstream: bool, json_: bool) -> None:
    """Train VERSION again from its bars, and compare the trees.

    By its recipe and from its stored bars; trees are compared by their fingerprint.
    Exits with 1 when they differ, or when the upstream's bars are not the recorded ones any more.
    """
    done = shell.platform().reproduction.reproduce(
        version, ignore_progress, upstream_at=shell.now() if upstream else None
    )
    if json_:
        shell.print_json(done)
    else:
        _print(done)
    if not done.identical or (done.upstream and not done.upstream.same):
        raise SystemExit(1)


def _print(done: Reproduction) -> None:
    click.echo(f"{done.version}: {'identical' if done.identical else 'DIFFERENT'}")
    shell.print_table(
        ["what", "recorded", "reproduced"],
        [
            ["fingerprint", done.fingerprint, done.reproduced],
            ["candidate", done.candidate_fingerprint, done.candidate_reproduced],
            *[[each.what, each.recorded, each.found] for each in done.differences],
        ],
    )
    if done.upstream:
        changed = ", ".join(done.upstream.changed_symbols)
        same = "the recorded ones" if done.upstream.same else f"OTHERS for {changed}"
        click.echo(f"the upstream's bars are {same}")


@models.command("card")
@click.argument("version")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write."
)
@shell.command
def card(version: str, output: Path | None) -> None:
    """Print one page of Markdown about VERSION, or write it."""
    page = shell.platform().models.card(version)
    if output is None:
        click.echo(page, nl=False)
        return
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(str(output), error) from error
