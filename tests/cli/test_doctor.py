"""`mlengine doctor` on real machines: taken ports, dead servers, locked files, full disks."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.named_keys import add_key
from tests.patience import patience
from tests.platforms import bars_folder, make_platform
from tests.queue_process import QueueProcess
from tests.supervised import free_port

from mlengine.cli.doctor import doctor
from mlengine.config import environment_for_child
from mlengine.core.lines.line import LineDefinition
from mlengine.services.diagnosis.checks import Check, Finding, run_checks
from mlengine.services.diagnosis.machine import check_clock, format_bytes
from mlengine.stores.database.migrate import migrate
from mlengine.stores.system.preflight import supervisor_lock

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Doctor:
    """`ask` sets the variables and returns the exit code and the checks by name."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.artifacts = folder / "artifacts"
        self._monkeypatch = monkeypatch
        bars_folder(folder / "bars")
        monkeypatch.chdir(folder)
        self.set(
            ADMIN_API_KEY="a-test-key-of-thirty-two-letters",
            ARTIFACTS_DIR=str(self.artifacts),
            MARKET_DATA_DIR=str(folder / "bars"),
            TRAIN_SYMBOLS="AAA",
            PORT=str(free_port()),
        )

    def set(self, **environ: str) -> None:
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)

    def ask(self, **environ: str) -> tuple[int, dict[str, Any]]:
        self.set(**environ)
        begun = time.monotonic()
        result = CliRunner().invoke(doctor, ["--json"])
        assert time.monotonic() - begun < patience(15)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, {
            each["name"]: each for each in json.loads(result.stdout)["checks"]
        }


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return Doctor(tmp_path, monkeypatch)


def failed(checks: dict[str, Any]) -> list[str]:
    return [name for name, check in checks.items() if check["status"] == "failed"]


def test_an_empty_folder_has_nothing_wrong_and_stays_empty(asked: Doctor) -> None:
    code, checks = asked.ask()
    assert (code, failed(checks)) == (0, [])
    assert not asked.artifacts.exists()
    assert "`mlengine up` starts its own" in checks["queue"]["detail"]
    assert "not there yet" in checks["database"]["detail"]
    assert "64 bars of AAA (files)" in checks["upstream"]["detail"]
    assert checks["model"]["status"] == "warning"


def test_a_whole_platform_is_well(asked: Doctor, tmp_path: Path) -> None:
    make_platform(tmp_path)
    code, checks = asked.ask()
    assert (code, failed(checks)) == (0, [])
    assert "can be written, schema revision" in checks["database"]["detail"]
    assert checks["model"]["detail"].startswith("v1 is whole and goes with the settings")


def test_it_prints_a_line_for_each_setting_and_check(asked: Doctor) -> None:
    asked.set(PORT="8123", REDIS_URL="redis://ann:s3cret@127.0.0.1:1/0")
    lines = CliRunner().invoke(doctor).stdout.splitlines()
    assert ["PORT", "environment", "8123"] in [line.split() for line in lines]
    assert ["WEB_WORKERS", "default", "2"] in [line.split() for line in lines]
    assert [line.split()[:2] for line in lines if "queue  " in line] == [["failed", "queue"]]
    assert "s3cret" not in "".join(lines)


def test_bad_settings_are_named_and_the_rest_is_examined(asked: Doctor) -> None:
    code, checks = asked.ask(ENV="production", ADMIN_API_KEY="ann:s3cret", WEB_WORKERS="many")
    assert (code, failed(checks)) == (1, ["ADMIN_API_KEY", "WEB_WORKERS"])
    assert "at least 32 characters" in checks["ADMIN_API_KEY"]["detail"]
    assert "s3cret" not in json.dumps(checks)
    assert "64 bars of AAA" in checks["upstream"]["detail"]


def test_production_without_prices_is_named(asked: Doctor) -> None:
    code, checks = asked.ask(ENV="production", MARKET_DATA_DIR="", ADMIN_API_KEY="")
    assert (code, failed(checks)[0]) == (1, "MARKET_DATA_BASE_URL")
    assert "MARKET_DATA_DIR" in checks["MARKET_DATA_BASE_URL"]["detail"]
    assert "so the admin routes are off" in checks["admin keys"]["detail"]


def test_a_long_key_can_be_weak(asked: Doctor) -> None:
    _, checks = asked.ask(ENV="production", ADMIN_API_KEY=f"ann:{'ab' * 16}")
    assert checks["admin keys"]["status"] == "warning"
    assert checks["admin keys"]["detail"].startswith("ann: ")


def test_a_file_of_named_keys_is_read(asked: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    named = {"API_KEYS_FILE": str(path), "ADMIN_API_KEY": ""}
    _, missing = asked.ask(**named)
    assert missing["named keys"]["status"] == "failed"
    assert missing["named keys"]["detail"].endswith("`mlengine keys add` makes it")
    add_key(path, "ann", "read")
    _, checks = asked.ask(**named)
    assert checks["named keys"] == {**checks["named keys"], "detail": "1 valid, 1 in all"}
    assert {checks[each]["status"] for each in ("admin keys", "named keys")} == {"ok"}


def test_a_taken_port_is_named(asked: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, checks = asked.ask(PORT=str(taken.getsockname()[1]))
    assert (code, failed(checks)) == (1, ["port"])
    assert "Address already in use" in checks["port"]["detail"]


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok", "version": "1", "checks": {}}')

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_port_taken_by_this_platform_is_well_and_another_one_is_a_warning(asked: Doctor) -> None:
    asked.artifacts.mkdir()
    with web_server() as port:
        _, checks = asked.ask(PORT=str(port))
        assert checks["port"]["status"] == "warning"
        with supervisor_lock(asked.artifacts):
            _, checks = asked.ask(PORT=str(port))
    assert checks["port"]["status"] == "ok"
    assert checks["port"]["detail"].startswith("this platform (pid ")


def test_a_dead_queue_is_out_of_reach(asked: Doctor) -> None:
    code, checks = asked.ask(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert (code, failed(checks)) == (5, ["queue"])
    assert "can't be reached" in checks["queue"]["detail"]


def test_a_queue_that_hangs_is_out_of_reach_too(asked: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, checks = asked.ask(REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
    assert (code, failed(checks)) == (5, ["queue"])


def test_a_running_platform_without_its_queue_server_is_named(asked: Doctor) -> None:
    asked.artifacts.mkdir()
    with supervisor_lock(asked.artifacts):
        code, checks = asked.ask()
    assert (code, failed(checks)) == (5, ["queue"])
    assert "queue/server.log" in checks["queue"]["detail"]


def test_a_live_queue_answers_and_its_clock_is_compared(asked: Doctor) -> None:
    with QueueProcess() as queue:
        code, checks = asked.ask(REDIS_URL=queue.url)
    assert (code, checks["queue"]["status"]) == (0, "ok")
    assert "s to the queue" in checks["clock"]["detail"]


def test_a_locked_database_is_named_in_time(asked: Doctor) -> None:
    migrate(f"sqlite:///{asked.artifacts}/audit.db")
    with closing(sqlite3.connect(asked.artifacts / "audit.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, checks = asked.ask()
    assert (code, failed(checks)) == (5, ["database"])
    assert "another process keeps it locked" in checks["database"]["detail"]


@pytest.mark.parametrize(
    ("revision", "status", "code"), [("0003", "warning", 0), ("9999", "failed", 1)]
)
def test_another_schema_is_named(asked: Doctor, revision: str, status: str, code: int) -> None:
    migrate(f"sqlite:///{asked.artifacts}/audit.db")
    with closing(sqlite3.connect(asked.artifacts / "audit.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    exit_code, checks = asked.ask()
    assert (exit_code, checks["database"]["status"]) == (code, status)
    assert revision in checks["database"]["detail"]


def test_what_is_no_database_is_named(asked: Doctor) -> None:
    code, checks = asked.ask(AUDIT_DATABASE_URL="nosuch://host/name")
    assert (code, failed(checks)) == (1, ["database"])


def in_shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment_for_child({"ARTIFACTS_DIR": str(folder / "disk")}),
    )


def test_a_full_disk_is_named(asked: Doctor, tmp_path: Path) -> None:
    """A small file system where this user may mount one, else a limit on the size of files."""
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=128k none "$2/disk"'
    run = 'exec "$1" -m mlengine doctor'
    if in_shell(f"unshare -Urm sh -c '{mount}' \"$@\"", tmp_path).returncode == 0:
        done = in_shell(f"unshare -Urm sh -c '{mount} && {run}' \"$@\"", tmp_path)
        reason = "the disk is full"
    else:
        done = in_shell(f"ulimit -f 100; {run}", tmp_path)
        reason = "a file may not grow that large"
    lines = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()}
    assert reason in lines["failed", "disk"]
    assert reason in lines["failed", "database"]
    assert "free some space, or set ARTIFACTS_DIR" in lines["failed", "disk"]
    assert done.returncode == 1, done.stdout


@pytest.mark.parametrize(
    ("count", "text"), [(78_640_000_000, "78.6 GB"), (999_600_000, "1000 MB"), (4_200_000, "4 MB")]
)
def test_free_space_is_shown_in_a_unit_that_fits(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_an_upstream_that_hangs_is_given_up(asked: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, checks = asked.ask(
            MARKET_DATA_BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
            MARKET_DATA_DEADLINE_SECONDS="0.5",
        )
    assert (code, failed(checks)) == (5, ["upstream"])


def test_a_symbol_that_the_upstream_does_not_know_is_named(asked: Doctor) -> None:
    code, checks = asked.ask(TRAIN_SYMBOLS="NOSUCH")
    assert (code, failed(checks)) == (1, ["upstream"])
    assert "NOSUCH" in checks["upstream"]["detail"]


def test_files_that_can_not_be_used_and_symbols_that_none_has_are_named(
    asked: Doctor, tmp_path: Path
) -> None:
    assert asked.ask()[1]["files"]["status"] == "ok"
    (tmp_path / "bars" / "CCC.xlsx").write_bytes(b"PK")
    code, checks = asked.ask(TRAIN_SYMBOLS="AAA,AAAA,ZZZ")
    assert (code, checks["files"]["status"]) == (0, "warning")
    assert "none has AAAA, ZZZ of TRAIN_SYMBOLS, skipped; there are " in checks["files"]["detail"]
    assert "AAA" in checks["files"]["detail"].partition("there are ")[2]
    assert "CCC.xlsx: " in checks["files"]["detail"]
    assert "files" not in asked.ask(MARKET_DATA_DIR="")[1]


def test_the_reasons_for_a_refusal_are_in_the_log_lines(asked: Doctor, tmp_path: Path) -> None:
    (tmp_path / "bars" / "CCC.xlsx").write_bytes(b"PK")
    done = subprocess.run(
        [sys.executable, "-m", "mlengine", "doctor"], capture_output=True, text=True, check=False
    )
    assert "file refused file=CCC.xlsx reason=" in done.stderr
    columns = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  OTEL_")]
    assert set(columns) == {"default"}


def test_a_model_that_can_not_serve_is_named(asked: Doctor, tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    _, checks = asked.ask(MARKET_DATA_INTERVAL="1h")
    assert "trained on 1d bars" in checks["model"]["detail"]
    with (platform.models.registry.directory / "v1" / "model.txt").open("a") as file:
        file.write("#")
    code, checks = asked.ask(MARKET_DATA_INTERVAL="1d")
    assert (code, failed(checks)) == (1, ["model"])
    assert "model.txt differs from its digest" in checks["model"]["detail"]


def test_a_feature_set_that_can_not_be_imported_is_named(asked: Doctor) -> None:
    code, checks = asked.ask(FEATURE_SETS="no.such.module")
    assert (code, failed(checks)) == (1, ["feature sets"])
    assert "no.such.module" in checks["feature sets"]["detail"]


def test_a_universe_file_is_read(asked: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    code, checks = asked.ask(TRAIN_UNIVERSE_FILE=str(file))
    assert (code, failed(checks)) == (1, ["universe"])
    file.write_text("symbol,from,to\nAAA,2020-01-01,\n")
    code, checks = asked.ask()
    assert (code, checks["universe"]["status"]) == (0, "ok")


def test_files_of_lines_that_a_start_would_refuse_are_named_with_their_fields(
    asked: Doctor, tmp_path: Path
) -> None:
    """And without a database, which it does not make."""
    folder = tmp_path / "lines"
    folder.mkdir()
    asked.set(LINES_DIR=str(folder), SIGNALS="main,slow")
    assert asked.ask()[1]["model lines"]["detail"] == "main"
    (folder / "slow.toml").write_text("[recipe]\nhorizon_bars = 20\n")
    code, checks = asked.ask()
    assert (code, checks["model lines"]["detail"]) == (0, "main, slow")
    assert checks["signals"]["detail"] == "scored at every bar: main, slow"
    (folder / "fast.toml").write_text('interval = "1h"\n[recipe]\nhorizon = 1\n')
    (folder / "torn.toml").write_text("[recipe")
    code, checks = asked.ask()
    assert (code, failed(checks)) == (1, ["model lines"])
    detail = checks["model lines"]["detail"]
    assert "torn.toml defines no model line" in detail
    assert "fast.toml is refused: interval AAA" in detail
    assert "fast.toml is refused: recipe.horizon is no field" in detail
    assert detail.endswith("a start refuses it")
    assert not asked.artifacts.exists()


def test_lines_that_signals_names_in_vain_or_that_could_not_train_are_warned_of(
    asked: Doctor, tmp_path: Path
) -> None:
    platform = make_platform(tmp_path)
    lines, members = platform.control.lines, tmp_path / "members.csv"
    members.write_text("symbol,from,to\nAAA,2020-01-01,\n")
    slow = LineDefinition(recipe={"universe_file": str(members)})
    lines.save("slow", slow, actor="ann", now=NOW)
    lines.save("gone", LineDefinition(), actor="ann", now=NOW)
    lines.retire("gone", actor="ann", now=NOW)
    code, checks = asked.ask(SIGNALS="main,slow,gone,nobody")
    assert (code, failed(checks), checks["model lines"]["detail"]) == (0, [], "main, slow")
    assert checks["signals"] == {
        **checks["signals"],
        "status": "warning",
        "detail": "SIGNALS: the line gone is retired, the line nobody is not there, "
        "and passed over",
    }
    members.write_text("symbol,from,to\nAAA,never,\n")
    _, checks = asked.ask()
    assert checks["model lines"]["status"] == "warning"
    assert "slow: recipe.universe_file" in checks["model lines"]["detail"]
    assert "line 2: expected" in checks["model lines"]["detail"]
    members.unlink()
    _, checks = asked.ask()
    assert "slow: recipe.universe_file" in checks["model lines"]["detail"]
    assert "must be a file that can be read" in checks["model lines"]["detail"]


def test_bad_settings_of_signals_are_named(asked: Doctor) -> None:
    code, checks = asked.ask(SIGNALS="Main", SIGNALS_WAIT_SECONDS="soon")
    assert (code, failed(checks)) == (1, ["SIGNALS", "SIGNALS_WAIT_SECONDS"])


def test_the_program_knows_it_and_wrong_usage_is_exit_code_two(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlengine", "doctor"]
    environment = environment_for_child({"ARTIFACTS_DIR": str(tmp_path), "PORT": "none"})
    for extra, code in ((["--json"], 1), (["--nope"], 2)):
        done = subprocess.run(
            [*command, *extra], capture_output=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == code, done.stderr


def test_a_check_that_hangs_is_left_behind() -> None:
    never = threading.Event()

    def hang() -> Finding:
        never.wait(60)
        return Finding("ok", "late")

    findings = run_checks([Check("slow", hang, "wait", is_remote=True, seconds=0.1)])
    never.set()
    assert findings["slow"] == Finding(
        "failed", "no answer in 0.1 s: wait", lead_seconds=None, out_of_reach=True
    )


@pytest.mark.parametrize(
    ("now", "lead", "status", "detail"),
    [
        (NOW, 0.01, "ok", "2026-01-02T00:00:00Z, -0.01 s to the queue"),
        (NOW, 9.0, "failed", "it is 9 s behind what the queue says"),
        (NOW, -9.0, "failed", "it is 9 s ahead of what the queue says"),
        (NOW - timedelta(days=9), None, "failed", "but files here are of 2026-01-01T00:00:00Z"),
    ],
)
def test_a_clock_that_is_off_is_named(
    now: datetime, lead: float | None, status: str, detail: str
) -> None:
    finding = check_clock(now, past=NOW - timedelta(days=1), leads={"queue": lead, "disk": None})
    assert finding.status == status
    assert detail in finding.detail
