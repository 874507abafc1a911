"""`mlengine models reproduce` and `card`: how a version came to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlengine.cli.context import (
    Output,
    current_platform,
    json_command,
    now,
    platform_command,
)
from mlengine.cli.options import line_option
from mlengine.cli.output import table
from mlengine.core.runs.progress import ignore_progress
from mlengine.errors import CannotWrite
from mlengine.stores.system import atomic_files

if TYPE_CHECKING:
    from mlengine.services.training.reproduction import Reproduction


@click.command("reproduce")
@click.argument("version")
@click.option("--upstream", is_flag=True, help="Ask the upstream for the recorded bars, too.")
@line_option
@json_command
def reproduce(version: str, upstream: bool) -> Output:
    """Train VERSION again from its bars, and compare the trees.

    By its recipe and from its stored bars; trees are compared by their fingerprint.
    Exits with 1 when they differ, or when the upstream's bars are not the recorded ones any more.
    """
    reproduction = current_platform().reproduction.reproduce(
        version, ignore_progress, upstream_at=now() if upstream else None
    )
    differs = not reproduction.identical or (
        reproduction.upstream is not None and not reproduction.upstream.same
    )
    return Output(reproduction, _reproduction_text(reproduction), exit_code=int(differs))


def _reproduction_text(reproduction: Reproduction) -> str:
    result = f"{reproduction.version}: {'identical' if reproduction.identical else 'DIFFERENT'}"
    comparison = table(
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
    if not reproduction.upstream:
        return f"{result}\n{comparison}"
    changed = ", ".join(reproduction.upstream.changed_symbols)
    bars = "the recorded ones" if reproduction.upstream.same else f"OTHERS for {changed}"
    return f"{result}\n{comparison}\nthe upstream's bars are {bars}"


@click.command("card")
@click.argument("version")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write."
)
@line_option
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
        raise CannotWrite(str(output), atomic_files.describe_error(error)) from error
