"""`flask audit …`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from flask.cli import AppGroup

from mlengine.cli import shell
from mlengine.core.predictions.replay import ReplayResult, ReplaySummary
from mlengine.stores.audit.filter import AuditFilter

audit = AppGroup("audit", help="What was predicted.")


@audit.command("tail")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--symbol")
@click.option("--version")
@shell.as_json
@shell.command
def tail(limit: int, symbol: str | None, version: str | None, json_: bool) -> None:
    """Show the newest predictions, failures included."""
    page = shell.platform().audit.recent(limit=limit, symbol=symbol, version=version)
    if json_:
        shell.print_json(page)
        return
    shell.print_table(
        ["at", "symbol", "bar", "prediction", "score", "model", "error"],
        [
            [row.at, row.symbol, row.bar_timestamp, row.prediction, row.score]
            + [row.model_version, row.error_code]
            for row in page.rows
        ],
    )


@audit.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shell.as_json
@shell.command
def clear(yes: bool, json_: bool) -> None:
    """Delete every prediction and vector.

    Runs and events stay, and this is noted there.
    """
    if not yes:
        click.confirm("Delete every audited prediction?", abort=True)
    count = shell.platform().audit.clear(actor=shell.actor(), now=shell.now())
    shell.print_json({"cleared": count}) if json_ else click.echo(f"{count} predictions deleted")


@audit.command("prune")
@click.option("--older-than", "days", type=click.IntRange(0), help="By default the setting.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@shell.as_json
@shell.command
def prune(days: int | None, dry_run: bool, json_: bool) -> None:
    """Delete predictions by age.

    With the vectors and windows that only they referred to.
    """
    retention = shell.platform().control.retention
    if days is None and not retention.days:
        raise click.UsageError("AUDIT_RETENTION_DAYS keeps all; say --older-than")
    count = retention.prune(
        older_than_days=retention.days if days is None else days,
        dry_run=dry_run,
        actor=shell.actor(),
        now=shell.now(),
    )
    done = "would be deleted" if dry_run else "deleted"
    shell.print_json({"predictions": count, "dry_run": dry_run}) if json_ else click.echo(
        f"{count} predictions {done}"
    )


@audit.command("export")
@click.option(
    "--parquet",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced.",
)
@shell.since
@shell.until
@shell.as_json
@shell.command
def export(path: Path, since: datetime | None, until: datetime | None, json_: bool) -> None:
    """Write predictions with their vectors to a Parquet file.

    The oldest come first.
    """
    count = shell.platform().audit.export(path, AuditFilter(since=since, until=until))
    shell.print_json({"predictions": count, "path": str(path)}) if json_ else click.echo(
        f"{count} predictions are in {path}"
    )


@audit.command("replay")
@shell.since
@shell.until
@click.option("--version", help="Only predictions of this version.")
@click.option("--sample", type=click.IntRange(1), help="So many of them, chosen at random.")
@click.option("--seed", default=0, show_default=True, help="Of that choice.")
@click.option("--upstream", is_flag=True, help="Ask the upstream for the bars as served today.")
@shell.as_json
@shell.command
def replay(
    since: datetime | None,
    until: datetime | None,
    version: str | None,
    sample: int | None,
    seed: int,
    upstream: bool,
    json_: bool,
) -> None:
    """Make predictions again from their bars, and compare them.

    Bit for bit, from the bars as they were stored.
    Exits with 1 when one comes out differently.
    """
    found = shell.platform().replay.replay_many(
        AuditFilter(since=since, until=until, version=version, ok=True),
        sample=sample,
        seed=seed,
        check_upstream=upstream,
        actor=shell.actor(),
        now=shell.now(),
    )
    shell.print_json(found) if json_ else _print(found)
    if not found.reproducible:
        raise SystemExit(1)


def _print(found: ReplaySummary) -> None:
    rows = [[word, count] for word, count in found.counts.items() if count]
    rows += [[f"upstream {word}", count] for word, count in found.upstream.items() if count]
    shell.print_table(["replayed", str(found.replayed)], rows)
    if found.others:
        click.echo()
        shell.print_table(
            ["prediction", "symbol", "bar", "version", "status", "upstream", "where"],
            [_line(each) for each in found.others],
        )


def _line(each: ReplayResult) -> list[object]:
    where = each.reason or ", ".join(each.differing_features) or None
    of = [each.prediction_id, each.symbol, each.bar_timestamp, each.model_version]
    return [*of, each.status, each.upstream, where]
