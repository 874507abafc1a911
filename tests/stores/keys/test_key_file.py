from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from tests.named_keys import add_key, revoke_key

from mlengine.errors import KeysDamaged
from mlengine.stores.keys.key_file import KeyFile


def test_a_file_of_keys_is_private_and_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    key = add_key(path, "ann", "read")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert key[8:] not in path.read_text()
    assert [*KeyFile(path).read()] == ["ann"]


def test_a_failed_change_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "ann", "read")
    before = path.read_bytes()

    def fail() -> None:
        with KeyFile(path).change() as keys:
            keys.clear()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"keys.json", ".keys.json.lock"}


def test_every_change_has_another_signature(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    file = KeyFile(path)
    seen = [file.signature()]
    add_key(path, "ann", "read")
    seen.append(file.signature())
    revoke_key(path, "ann")
    seen.append(file.signature())
    assert seen[0] is None
    assert len({*seen}) == 3


KEY = {"scopes": ["read"], "salt": "0" * 32, "hash": "f" * 64, "created_at": "2020-01-01T00:00:00Z"}


def of_keys(keys: object, **more: object) -> bytes:
    return json.dumps({"schema_version": 1, "keys": keys, **more}).encode()


def without(name: str) -> dict[str, object]:
    return {field: value for field, value in KEY.items() if field != name}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"{}", b"\x00" * 64, b"[" * 100_000, b" " * 2_000_000),
        *(of_keys([]), of_keys(None), of_keys({"ann": None}), of_keys({"ann": []})),
        *(of_keys({}, schema_version=2), of_keys({}, more=1), of_keys({"a b": KEY})),
        *(of_keys({"": KEY}), of_keys({"../x": KEY}), of_keys({"a_b": KEY})),
        *(of_keys({"ann": without(name)}) for name in KEY),
        *(of_keys({"ann": {**KEY, "more": 1}}), of_keys({"ann": {**KEY, "scopes": "read"}})),
        *(of_keys({"ann": {**KEY, "scopes": ["all"]}}), of_keys({"ann": {**KEY, "scopes": []}})),
        *(of_keys({"ann": {**KEY, "scopes": [["read"]]}}), of_keys({"ann": {**KEY, "salt": 1}})),
        *(of_keys({"ann": {**KEY, "hash": "x" * 64}}), of_keys({"ann": {**KEY, "hash": None}})),
        of_keys({"ann": {**KEY, "expires_at": "tomorrow"}}),
        of_keys({"ann": {**KEY, "expires_at": "2020-01-01T00:00:00"}}),
        of_keys({"ann": {**KEY, "revoked_at": 7}}),
    ],
)
def test_a_damaged_file_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(KeysDamaged) as refusal:
        KeyFile(path).read()
    assert "f" * 64 not in str(refusal.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "keys.json"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(KeysDamaged, match=r"keys\.json"):
        KeyFile(path).read()


def test_a_damaged_file_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(b"{")
    with pytest.raises(KeysDamaged):
        add_key(path, "ann", "read")
    assert path.read_bytes() == b"{"
