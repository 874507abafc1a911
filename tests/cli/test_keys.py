from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlengine.__main__ import mlengine
from mlengine.core.timestamps import parse_rfc3339


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_KEYS_FILE", "keys.json")
    return tmp_path / "keys.json"


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(mlengine, ["keys", *arguments])


def listed() -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in json.loads(keys("list", "--json").stdout)}


def test_a_key_is_printed_once(path: Path) -> None:
    added = keys("add", "ann", "--scopes", "train,read")
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    assert key.startswith("mle_ann_")
    assert key not in keys("list").stdout + path.read_text()
    assert [line.split()[:3] for line in keys("list").stdout.splitlines()] == [
        ["name", "state", "scopes"],
        ["ann", "valid", "read,train"],
    ]
    assert keys("revoke", "ann").stdout == "ann is revoked\n"
    assert keys("revoke", "ann").stdout == "ann was revoked before\n"
    assert listed()["ann"]["state"] == "revoked"
    document = json.loads(keys("add", "ann", "--scopes", "audit", "--json").stdout)
    assert document["key"] != key


@pytest.mark.usefixtures("path")
def test_a_key_expires_after_days_or_at_a_date() -> None:
    before = datetime.now(UTC)
    keys("add", "ann", "--scopes", "read", "--expires", "90d")
    keys("add", "bob", "--scopes", "read", "--expires", "2099-01-01")
    keys("add", "eve", "--scopes", "read")
    expiries = {name: key["expires_at"] for name, key in listed().items()}
    assert timedelta(0) <= parse_rfc3339(expiries["ann"]) - before - timedelta(days=90)
    assert parse_rfc3339(expiries["ann"]) < datetime.now(UTC) + timedelta(days=90)
    assert (expiries["bob"], expiries["eve"]) == ("2099-01-01T00:00:00Z", None)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "ann"), 2),
        (("add", "a_b", "--scopes", "read"), 2),
        (("add", "ann", "--scopes", ""), 2),
        (("add", "ann", "--scopes", "all"), 2),
        (("add", "ann", "--scopes", "read", "--expires", "0d"), 2),
        (("add", "ann", "--scopes", "read", "--expires", "2001-01-01"), 2),
        (("add", "admin", "--scopes", "read"), 1),
        (("revoke", "bob"), 3),
    ],
)
def test_exit_codes_that_a_script_can_use(arguments: tuple[str, ...], code: int) -> None:
    done = keys(*arguments)
    assert done.exit_code == code, done.output


@pytest.mark.usefixtures("path")
def test_a_key_given_for_a_name_is_not_repeated() -> None:
    key = keys("add", "ann", "--scopes", "read").stdout.strip()
    done = keys("revoke", key)
    assert done.exit_code == 2
    assert key not in done.output


def test_a_damaged_file_and_a_missing_setting_are_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("{")
    for command in (("list",), ("add", "ann", "--scopes", "read"), ("revoke", "ann")):
        done = keys(*command)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
        assert "keys_damaged: the file of keys" in done.stderr
    monkeypatch.delenv("API_KEYS_FILE")
    assert "API_KEYS_FILE" in keys("list").stderr


@pytest.mark.usefixtures("path")
def test_the_commands_load_no_library_that_takes_time() -> None:
    script = (
        "import sys; from mlengine.__main__ import mlengine\n"
        "mlengine(['keys', 'add', 'ann', '--scopes', 'read'], standalone_mode=False)\n"
        "heavy = {'polars', 'lightgbm', 'flask', 'sqlalchemy', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["up", "web"])
def test_the_platform_does_not_start_with_a_file_that_it_cannot_use(
    path: Path, command: str
) -> None:
    program = [sys.executable, "-m", "mlengine", command]
    for content, reason in (("{", "it is not JSON"), (None, "`mlengine keys add` makes it")):
        path.unlink(missing_ok=True)
        if content:
            path.write_text(content)
        done = subprocess.run(
            program, capture_output=True, text=True, check=False, env={**os.environ}
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("mlengine: API_KEYS_FILE: "), done.stderr
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
