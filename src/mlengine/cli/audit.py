"""`mlengine audit …`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlengine.cli.context import (
    Output,
    actor,
    asked_line,
    asked_line_or_none,
    current_control,
    current_platform,
    json_command,
    now,
)
from mlengine.cli.options import line_option, parquet_option, range_options
from mlengine.cli.output import table

if TYPE_CHECKING:
    from mlengine.core.predictions.replay import ReplayResult, ReplaySummary
    from mlengine.stores.audit.filter import AuditFilter

audit = click.Group("audit", help="Show what was predicted; export, replay, prune.")


@audit.command("tail")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--symbol")
@click.option("--version")
@line_option
@json_command
def tail(limit: int, symbol: str | None, version: str | None) -> Output:
    """Show the newest predictions, failures included."""
    predictions = current_control().predictions
    page = predictions.recent(
        _filter(model=asked_line(), symbol=symbol, version=version), limit=limit
    )
    return Output(
        page,
        table(
            ["at", "symbol", "bar", "prediction", "score", "model", "error"],
            [
                [row.at, row.symbol, row.bar_timestamp, row.prediction, row.score]
                + [row.model_version, row.error_code]
                for row in page.rows
            ],
        ),
    )


@audit.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_command
def clear(yes: bool) -> Output:
    """Delete every prediction and vector.

    Runs and events stay, and this is noted there.
    """
    if not yes:
        click.confirm("Delete every audited prediction?", abort=True)
    count = current_platform().audit.clear(actor=actor(), now=now())
    return Output({"cleared": count}, f"{count} predictions deleted")


@audit.command("prune")
@click.option("--older-than", "days", type=click.IntRange(0), help="By default the setting.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@json_command
def prune(days: int | None, dry_run: bool) -> Output:
    """Delete predictions by age.

    With the vectors and windows that only they referred to.
    """
    retention = current_control().retention
    if days is None and not retention.days:
        raise click.UsageError("AUDIT_RETENTION_DAYS keeps all; say --older-than")
    count = retention.prune(
        older_than_days=retention.days if days is None else days,
        dry_run=dry_run,
        actor=actor(),
        now=now(),
    )
    outcome = "would be deleted" if dry_run else "deleted"
    return Output({"predictions": count, "dry_run": dry_run}, f"{count} predictions {outcome}")


@audit.command("archive")
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), required=True, help="A date, in UTC.")
@json_command
def archive(before: datetime) -> Output:
    """Move days of predictions from the database to Parquet files.

    They lie in ARTIFACTS_DIR/audit-archive, and are read as if they were in the database.
    """
    days = []
    audit = current_platform().audit
    for file in audit.archive_days(before=before.date(), actor=actor(), now=now()):
        size = file.path.stat().st_size + (
            file.windows_path.stat().st_size if file.windows_path.exists() else 0
        )
        days.append({"day": str(file.day), "predictions": file.rows, "bytes": size})
    rows = [[each["day"], each["predictions"], each["bytes"]] for each in days]
    text = table(["day", "predictions", "bytes"], rows) if days else "there is no day to archive"
    return Output({"days": days}, text)


@audit.command("export")
@parquet_option
@range_options("Predictions made")
@line_option
@json_command
def export(path: Path, since: datetime | None, until: datetime | None) -> Output:
    """Write predictions with their vectors to a Parquet file.

    The oldest come first; of all model lines unless --model names one.
    """
    asked = _filter(model=asked_line_or_none(), since=since, until=until)
    count = current_platform().audit.export(path, asked)
    return Output({"predictions": count, "path": str(path)}, f"{count} predictions are in {path}")


@audit.command("replay")
@range_options("Predictions made")
@click.option("--version", help="Only predictions of this version.")
@click.option("--sample", type=click.IntRange(1), help="So many of them, chosen at random.")
@click.option("--seed", default=0, show_default=True, help="Of that choice.")
@click.option("--upstream", is_flag=True, help="Ask the upstream for the bars as served today.")
@line_option
@json_command
def replay(
    since: datetime | None,
    until: datetime | None,
    version: str | None,
    sample: int | None,
    seed: int,
    upstream: bool,
) -> Output:
    """Make predictions again from their bars, and compare them.

    Bit for bit, from the bars as they were stored.
    Exits with 1 when one comes out differently.
    """
    summary = current_platform().replay.replay_many(
        _filter(model=asked_line(), since=since, until=until, version=version, ok=True),
        sample=sample,
        seed=seed,
        check_upstream=upstream,
        actor=actor(),
        now=now(),
    )
    return Output(summary, _replay_text(summary), exit_code=0 if summary.reproducible else 1)


def _filter(**conditions: Any) -> AuditFilter:
    from mlengine.stores.audit.filter import AuditFilter  # noqa: PLC0415 - SQLAlchemy

    return AuditFilter(**conditions)


def _replay_text(summary: ReplaySummary) -> str:
    rows = [[status, count] for status, count in summary.counts.items() if count]
    rows += [[f"upstream {status}", count] for status, count in summary.upstream.items() if count]
    counts = table(["replayed", str(summary.replayed)], rows)
    if not summary.others:
        return counts
    others = table(
        ["prediction", "symbol", "bar", "version", "status", "upstream", "where"],
        [_row(replayed) for replayed in summary.others],
    )
    return f"{counts}\n\n{others}"


def _row(replayed: ReplayResult) -> list[object]:
    where = replayed.reason or ", ".join(replayed.differing_features) or None
    return [
        *(replayed.prediction_id, replayed.symbol, replayed.bar_timestamp),
        *(replayed.model_version, replayed.status, replayed.upstream, where),
    ]
