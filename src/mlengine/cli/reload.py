"""`mlengine reload`."""

import click

from mlengine.cli.context import Output, actor, current_control, current_platform, json_command, now
from mlengine.cli.options import line_option


@click.command("reload")
@line_option
@json_command
def reload() -> Output:
    """Load and verify the active version again.

    In every worker, with its next request. And take in the files of model lines.
    """
    lines = current_control().take_line_files()
    loaded = current_platform().models.reload(actor=actor(), now=now())
    said = f"{loaded.version} loaded and verified"
    if lines:
        said += f"; taken in: {', '.join(lines)}"
    return Output({"loaded_version": loaded.version, "lines": lines}, said)
