"""The commands of `mlengine` and `flask` over the platform: thin click shells.

A command NAME is `mlengine.cli.NAME.NAME`, imported when it is run or hung on an application.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from flask import Flask

COMMANDS = {
    "audit": "Show what was predicted; export, replay, prune.",
    "bars": "Fetch, check and show bars.",
    "dataset": "Export the rows that a model was made of.",
    "db": "Show, copy and upgrade the audit database.",
    "demo": "Replay a year of the sample into a folder, to look at.",
    "doctor": "Say what is configured and what is wrong with it.",
    "features": "Show a symbol's newest feature rows; list, check.",
    "hooks": "Tell others what happens, by webhooks.",
    "keys": "Add, list and revoke named keys of the HTTP API.",
    "limiter": "Show and reset what clients have left of the rate limit.",
    "lines": "List, copy, compare and retire model lines.",
    "models": "List, show, verify and activate model versions.",
    "monitor": "Show drift, freshness, latency and history.",
    "predict": "Predict a symbol.",
    "reload": "Load and verify the active version again.",
    "signals": "Show which bars were scored; export what was said.",
    "sizes": "Show what each part takes on disk.",
    "train": "Train once; see to runs and schedule.",
}
_OF_EXTENSIONS = {"limiter"}  # which put it on the application themselves


def load(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f"mlengine.cli.{name}"), name)
    return command


def init_app(app: Flask) -> None:
    """Hang every command on the app."""
    for name in COMMANDS.keys() - _OF_EXTENSIONS:
        app.cli.add_command(load(name))
