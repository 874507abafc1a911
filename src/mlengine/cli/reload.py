"""`mlengine reload`."""

import click

from mlengine.cli.context import Output, actor, current_platform, json_command, now
from mlengine.cli.options import line_option


@click.command("reload")
@line_option
@json_command
def reload() -> Output:
    """Load and verify the active version again.

    In every worker, with its next request.
    """
    loaded = current_platform().models.reload(actor=actor(), now=now())
    return Output({"loaded_version": loaded.version}, f"{loaded.version} loaded and verified")
