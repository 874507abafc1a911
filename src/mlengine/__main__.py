"""The `mlengine` command, and `python -m mlengine`: one tree of commands.

What starts processes is light and stands here. The others are the click commands of `flask`, each
imported when it is run.
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import click

from mlengine import __version__, cli, config, supervisor
from mlengine.bootstrap.keys import require_keys
from mlengine.config import Settings
from mlengine.config.env_file import load_with_env_file, write_env_file_and_report
from mlengine.config.inspection import misspelt
from mlengine.config.logging import configure_logs
from mlengine.errors import (
    ArtifactsUnavailable,
    BadSetting,
    CannotStart,
    DatabaseUnavailable,
    MlengineError,
)
from mlengine.stores.system import preflight
from mlengine.stores.system.garbage_collection import collect_less_often
from mlengine.supervisor import ChildCommands

log = logging.getLogger(__name__)


class CommandTree(click.Group):
    """The light commands, and beside them those of `mlengine.cli` by their names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Of both kinds, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *cli.COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A light one first; another is imported now, and brings the application when it runs."""
        if cmd_name in self.commands or cmd_name not in cli.COMMANDS:
            return super().get_command(ctx, cmd_name)
        return cli.load(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Plain `train`, of any line, is the supervisor's; `help` and what is unknown list all."""
        if args == ["help"]:
            click.echo(ctx.get_help())
            ctx.exit()
        if _is_plain_train(args):
            return "train", train, args[1:]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            click.echo(ctx.get_help())
            raise

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List every command without importing those that aren't light."""
        light = {
            name: command.get_short_help_str(limit=80)
            for name, command in self.commands.items()
            if not command.hidden
        }
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**cli.COMMANDS, **light}.items()))


def _is_plain_train(args: list[str]) -> bool:
    """Whether it is `train`, with at most the line to train."""
    line = " ".join(args[1:])
    return args[:1] == ["train"] and (not line or re.fullmatch(r"--model[ =]\S+", line) is not None)


@click.group(cls=CommandTree, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlengine")
def mlengine() -> None:
    """Run a market-ML platform in this folder, and steer it.

    The folder holds `.env` and, unless ARTIFACTS_DIR says otherwise, `artifacts/`.
    """


@mlengine.command()
def up() -> None:
    """Start the whole platform: queue server, worker, web server."""
    settings = _settings(create=True)
    require_keys(settings)
    sys.exit(supervisor.up(settings, ChildCommands()))


@mlengine.command()
def web() -> None:
    """Start the web server alone."""
    settings = _settings()
    preflight.require_artifacts(settings.artifacts_dir)
    preflight.require_prices(settings.market_data_dir)
    require_keys(settings)
    try:
        preflight.require_universe(settings.train.universe_file)
    except BadSetting as missing:  # it is the worker that reads it, on another machine perhaps
        log.warning("not read here, but where trainings run", extra={"reason": str(missing)})
    _require_feature_sets(settings)
    _require_markets(settings)
    if settings.audit_database_url.startswith("sqlite"):  # a server may keep it waiting
        _refuse_newer_database(settings)
    _refuse_other_registry(settings)
    if settings.train_first:
        from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

        control = build_control(settings)
        control.request_first_training(now=control.clock())
    _exec(ChildCommands().web, supervisor.ONE_THREAD)


@mlengine.command()
def worker() -> None:
    """Start one training worker alone."""
    settings = _settings()
    preflight.require_artifacts(settings.artifacts_dir)
    preflight.require_prices(settings.market_data_dir)
    preflight.require_universe(settings.train.universe_file)
    _require_feature_sets(settings)
    _require_markets(settings)
    _refuse_newer_database(settings)
    _refuse_other_registry(settings)
    _exec(ChildCommands().worker, {})


@mlengine.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    preflight.keep_files_private()
    settings = load_with_env_file(Path.cwd())
    configure_logs(settings)
    preflight.require_artifacts(settings.artifacts_dir)
    build_control(settings).migrate_and_backfill()


@mlengine.command()
@click.option("-o", "--output", type=click.File("wb"), default="-", help="Where to write it.")
def openapi(output: BinaryIO) -> None:
    """Write the contract of the HTTP routes, as an OpenAPI document."""
    from mlengine.app import openapi_document  # noqa: PLC0415 - Polars, LightGBM

    output.write(openapi_document())


@mlengine.command("prepare", hidden=True)
def supervisor_prepare() -> None:
    """Do what a supervisor needs first, as its child: database, runs, feature sets."""
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    preflight.keep_files_private()
    settings = load_with_env_file(Path.cwd())
    configure_logs(settings)
    if preflight.supervisor_pid(settings.artifacts_dir) != os.getppid():
        raise CannotStart("only a supervisor prepares; `migrate` is for hands")
    control = build_control(settings)
    control.migrate_and_backfill()
    if settings.redis_url is None:  # whose worker was the dead supervisor's child
        control.runs.mark_running_as_lost(now=control.clock())
    _require_feature_sets(settings)
    _require_markets(settings)


@click.command()
@click.option("--model", "line")
def train(line: str | None) -> None:
    """Train once on the running platform, or with a worker of its own."""
    settings = _settings(create=True)
    configure_logs(settings, is_command=True)
    commands = ChildCommands()
    if line is not None:
        commands = replace(commands, train=(*commands.train, "--model", line))
    sys.exit(supervisor.train_once(settings, commands))


def main() -> None:
    """Run one command; an error of the platform's own is one line."""
    collect_less_often()
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)  # a user's own feature sets; `python -m` does the same
    try:
        mlengine(prog_name="mlengine")
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")


def _settings(*, create: bool = False) -> Settings:
    """Those of the working folder, which gets a first `.env` with `create`."""
    if create and (report := write_env_file_and_report(Path.cwd())):
        print(report, flush=True)
    preflight.keep_files_private()
    settings = load_with_env_file(Path.cwd())
    configure_logs(settings)
    for name, setting in misspelt().items():
        log.warning("no such setting", extra={"variable": name, "nearest": setting})
    return settings


def _require_feature_sets(settings: Settings) -> None:
    from mlengine.bootstrap.control import require_feature_sets  # noqa: PLC0415 - SQLAlchemy

    require_feature_sets(settings)


def _require_markets(settings: Settings) -> None:
    from mlengine.bootstrap.markets import load_markets  # noqa: PLC0415 - NumPy

    load_markets(settings)


def _refuse_newer_database(settings: Settings) -> None:
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    build_control(settings).refuse_newer_database()


def _refuse_other_registry(settings: Settings) -> None:
    """What can't be reached is no reason not to serve what is here."""
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - SQLAlchemy

    with suppress(DatabaseUnavailable, ArtifactsUnavailable):
        build_control(settings).refuse_other_registry()


def _exec(command: Sequence[str], extra: dict[str, str]) -> None:
    environment = config.environment_for_child(extra)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the program knows what it means
    os.execvpe(command[0], list(command), environment)  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    main()
