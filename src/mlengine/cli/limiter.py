"""`mlengine limiter …`, which Flask-Limiter brings; under `flask` it puts it there itself."""

import click
from flask_limiter.commands import cli

from mlengine.cli.context import enter_app

limiter = click.Group(
    "limiter", cli.commands, callback=click.pass_context(enter_app), help=cli.help
)
