"""`mlengine reload`."""

from __future__ import annotations

import click

from mlengine.cli.context import actor, current_platform, now, platform_command
from mlengine.cli.options import json_option
from mlengine.cli.output import print_result


@click.command("reload")
@json_option
@platform_command
def reload(json_: bool) -> None:
    """Load and verify the active version again.

    In every worker, with its next request.
    """
    loaded = current_platform().models.reload(actor=actor(), now=now())
    print_result(
        {"loaded_version": loaded.version}, f"{loaded.version} loaded and verified", as_json=json_
    )
