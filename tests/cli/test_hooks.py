from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.databases import new_database
from tests.hook_receiver import HookReceiver, Reply

from mlengine.__main__ import mlengine


@pytest.fixture(autouse=True)
def _platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOKS_ALLOW_PRIVATE", "true")
    (tmp_path / "artifacts").mkdir()
    new_database(tmp_path / "artifacts" / "audit.db")


def hooks(*arguments: str) -> Result:
    return CliRunner().invoke(mlengine, ["hooks", *arguments])


def listed() -> list[dict[str, object]]:
    return json.loads(hooks("list", "--json").stdout)


def test_a_hook_is_added_tested_and_removed_and_its_secret_shown_once() -> None:
    with HookReceiver() as receiver:
        added = hooks("add", receiver.url, "--events", "model.*")
        assert added.exit_code == 0, added.output
        name, secret = added.stdout.split()
        tested = hooks("test", name)
        assert tested.stdout == f"{name}: answered 200\n"
    (received,) = receiver.received
    assert received.is_signed_with(secret)
    assert received.message["type"] == "hook.test"
    said = hooks("list").stdout
    assert secret not in said
    assert [line.split() for line in said.splitlines()] == [
        ["hook", "host", "events", "state", "pending", "delivered", "failed"],
        [name, "127.0.0.1", "model.*", "enabled", "0", "1", "0"],
    ]
    assert hooks("remove", name).stdout == f"{name} is removed\n"
    assert listed() == []


def test_a_secret_is_rotated_and_a_failed_test_is_exit_code_1() -> None:
    with HookReceiver(Reply(410)) as receiver:
        name, secret = hooks("add", receiver.url).stdout.split()
        rotated = hooks("rotate", name).stdout.strip()
        assert rotated != secret
        refused = hooks("test", name, "--json")
        assert refused.exit_code == 1
        assert json.loads(refused.stdout) == {
            "hook": name,
            "status": 410,
            "reason": "it answered 410",
        }
        assert listed()[0]["disabled_reason"] == "it answered 410"
        assert all(receiver.received[0].is_signed_with(each) for each in (secret, rotated))
        again = hooks("redeliver", name, "--since", "2020-01-01")
        assert again.stdout == f"{name}: 1 messages\n", "that it was disabled"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "https://a.example/", "--events", "model.baked"), 2),
        (("add", "ftp://a.example/"), 1),
        (("test", "hook_9"), 3),
        (("redeliver", "hook_9"), 3),
        (("rotate", "hook_9"), 3),
        (("remove", "hook_9"), 3),
    ],
)
def test_what_can_not_be_done_is_refused(arguments: tuple[str, ...], code: int) -> None:
    assert hooks(*arguments).exit_code == code
