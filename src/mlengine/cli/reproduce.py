"""`mlengine models reproduce` and `card`: how a version came to be."""

from __future__ import annotations

from pathlib import Path

import click

from mlengine.cli.context import current_platform, now, platform_command
from mlengine.cli.options import json_option
from mlengine.cli.output import print_json, print_table
from mlengine.core.runs.progress import ignore_progress
from mlengine.errors import CannotWrite
from mlengine.services.training.reproduction import Reproduction


@click.command("reproduce")
@click.argument("version")
@click.option("--upstream", is_flag=True, help="Ask the upstream for the recorded bars, too.")
@json_option
@platform_command
def reproduce(version: str, upstream: bool, json_: bool) -> None:
    """Train VERSION again from its bars, and compare the trees.

    By its recipe and from its stored bars; trees are compared by their fingerprint.
    Exits with 1 when they differ, or when the upstream's bars are not the recorded ones any more.
    """
    reproduction = current_platform().reproduction.reproduce(
        version, ignore_progress, upstream_at=now() if upstream else None
    )
    if json_:
        print_json(reproduction)
    else:
        _print(reproduction)
    if not reproduction.identical or (reproduction.upstream and not reproduction.upstream.same):
        raise SystemExit(1)


def _print(reproduction: Reproduction) -> None:
    click.echo(f"{reproduction.version}: {'identical' if reproduction.identical else 'DIFFERENT'}")
    print_table(
        ["what", "recorded", "reproduced"],
        [
            ["fingerprint", reproduction.fingerprint, reproduction.reproduced],
            ["candidate", reproduction.candidate_fingerprint, reproduction.candidate_reproduced],
            *[
                [difference.what, difference.recorded, difference.found]
                for difference in reproduction.differences
            ],
        ],
    )
    if reproduction.upstream:
        changed = ", ".join(reproduction.upstream.changed_symbols)
        same = "the recorded ones" if reproduction.upstream.same else f"OTHERS for {changed}"
        click.echo(f"the upstream's bars are {same}")


@click.command("card")
@click.argument("version")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write."
)
@platform_command
def card(version: str, output: Path | None) -> None:
    """Print one page of Markdown about VERSION, or write it."""
    page = current_platform().models.card(version)
    if output is None:
        click.echo(page, nl=False)
        return
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(str(output), error) from error
