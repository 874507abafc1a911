"""`mlengine doctor`: what is configured, and what is wrong.

It needs no app, for it is asked where none starts; nor Polars and LightGBM until it looks at what
needs them.
"""

import importlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType

import click
import orjson

import mlengine
from mlengine.bootstrap.keys import build_named_keys, require_keys
from mlengine.config import Settings
from mlengine.config.inspection import SettingsInspection, inspect_settings
from mlengine.config.logging import configure_logs
from mlengine.config.redaction import redact
from mlengine.errors import BadSetting, CannotStart
from mlengine.services.diagnosis import machine
from mlengine.services.diagnosis.checks import Check, Finding, run_checks

_UPSTREAM_SECONDS = 10.0
_FEWEST_CHARACTERS = 10


@click.command("doctor")
@click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
def doctor(json_: bool) -> None:
    """Say what is configured and what is wrong with it.

    Exit code 0: nothing, at most warnings; 1: something; 5: only that the queue, the database or
    the upstream can't be reached.
    """
    inspection = inspect_settings(Path.cwd())
    configure_logs(inspection.settings, is_command=True)
    findings = _examine_settings(inspection) | _examine(inspection.settings)
    if json_:
        values = [asdict(value) for value in inspection.values]
        checks = [{"name": name, **asdict(finding)} for name, finding in findings.items()]
        document = {"version": mlengine.__version__, "settings": values, "checks": checks}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(inspection, findings)
    raise SystemExit(_exit_code(findings))


def _exit_code(findings: Mapping[str, Finding]) -> int:
    failed = [finding for finding in findings.values() if finding.status == "failed"]
    if not failed:
        return 0
    return 5 if all(finding.out_of_reach for finding in failed) else 1


def _print(inspection: SettingsInspection, findings: Mapping[str, Finding]) -> None:
    click.echo(f"mlengine {mlengine.__version__}, settings")
    names = max(len(each.name) for each in inspection.values) + 1
    for each in inspection.values:
        click.echo(f"  {each.name:{names}}{each.source:13}{each.value}".rstrip())
    click.echo("checks")
    width = max(map(len, findings)) + 2
    for name, finding in findings.items():
        click.echo(f"  {finding.status:9}{name:{width}}{finding.detail}")


def _examine_settings(inspection: SettingsInspection) -> dict[str, Finding]:
    findings = {}
    for problem in inspection.problems:
        name = problem.variable if isinstance(problem, BadSetting) else ".env"
        findings[name] = Finding("failed", redact(str(problem)))
    for name in inspection.unknown:
        findings[name] = Finding("warning", "stands in .env, but is no setting")
    if "ADMIN_API_KEY" not in findings:
        findings["admin keys"] = _examine_keys(inspection.settings)
    if inspection.settings.access.api_keys_file:
        findings["named keys"] = _examine_named_keys(inspection.settings)
    return findings


def _examine_named_keys(settings: Settings) -> Finding:
    try:
        require_keys(settings)
    except CannotStart as refusal:
        return Finding("failed", str(refusal))
    states = [key.state(datetime.now(UTC)) for key in build_named_keys(settings).list().values()]
    return Finding("ok", f"{states.count('valid')} valid, {len(states)} in all")


def _examine_keys(settings: Settings) -> Finding:
    """`Settings` refuses the short ones of production."""
    keys = settings.admin_api_keys
    if not keys and settings.access.api_keys_file:
        return Finding("ok", "none, but API_KEYS_FILE is set")
    if not keys:
        return Finding("warning", "none is set, so the admin routes are off: set ADMIN_API_KEY")
    weak = [name for name, key in keys.items() if len(set(key)) < _FEWEST_CHARACTERS]
    if weak and settings.env == "production":
        reason = f"of fewer than {_FEWEST_CHARACTERS} different characters: take random ones"
        return Finding("warning", f"{', '.join(weak)}: {reason}")
    return Finding("ok", f"of {', '.join(keys)}")


def _examine(settings: Settings) -> dict[str, Finding]:
    """All checks beside each other, and the clock by what they brought."""
    folder = settings.artifacts_dir
    own_queue = "the supervisor starts it again; see queue/server.log in ARTIFACTS_DIR"
    checks = [
        Check("python", machine.check_runtime),
        Check("disk", partial(machine.check_disk, folder), "free some space, or set ARTIFACTS_DIR"),
        Check("port", partial(machine.check_port, settings.host, settings.port, folder)),
        Check(
            "queue",
            lambda: _backends().check_queue(
                settings.redis_url, folder, settings.audit_database_url
            ),
            "see REDIS_URL and the server there" if settings.redis_url else own_queue,
            is_remote=True,
        ),
        Check(
            "database",
            lambda: _backends().check_database(settings.audit_database_url),
            "see AUDIT_DATABASE_URL, and who else uses it",
            is_remote=True,
        ),
        *_loading_checks(settings),
    ]
    findings = run_checks(checks)
    past = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    leads = {name: finding.lead_seconds for name, finding in findings.items()}
    clock = machine.check_clock(datetime.now(UTC), past=past, leads=leads)
    return findings | {"clock": clock}


def _loading_checks(settings: Settings) -> list[Check]:
    """Those that need Polars and LightGBM."""
    seconds = min(settings.market_data_deadline_seconds, _UPSTREAM_SECONDS)
    return [
        Check(
            "upstream",
            lambda: _diagnosis().check_upstream(settings, seconds=seconds),
            "see MARKET_DATA_… and TRAIN_SYMBOLS",
            is_remote=True,
            seconds=seconds + 2.0,
        ),
        *([_files_check(settings)] if settings.market_data_kind == "files" else []),
        Check("universe", lambda: _diagnosis().check_universe(settings)),
        Check("model lines", lambda: _diagnosis().check_lines(settings), "a start refuses it"),
        Check("signals", lambda: _diagnosis().check_signals(settings)),
        Check("feature sets", lambda: _diagnosis().check_feature_sets(settings)),
        Check("model", lambda: _diagnosis().check_model(settings)),
    ]


def _files_check(settings: Settings) -> Check:
    remedy = "see MARKET_DATA_DIR and bars.toml in it"
    return Check("files", lambda: _diagnosis().check_files(settings), remedy, seconds=20.0)


def _backends() -> ModuleType:
    """A check that can't load it fails by itself, and help loads neither SQLAlchemy nor Redis."""
    return importlib.import_module("mlengine.services.diagnosis.backends")


def _diagnosis() -> ModuleType:
    """As `_backends`, with Polars and LightGBM."""
    return importlib.import_module("mlengine.bootstrap.diagnosis")
