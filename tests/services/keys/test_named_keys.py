from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.named_keys import LONG_AGO, add_key

from mlengine.errors import KeyNameTaken, KeyNotFound
from mlengine.services.keys.named_keys import NamedKeys
from mlengine.stores.keys.key_file import KeyFile

SALT = "0" * 32


@pytest.fixture
def named(tmp_path: Path) -> NamedKeys:
    return NamedKeys(KeyFile(tmp_path / "keys.json"), frozenset({"root"}))


def test_a_key_is_listed_with_its_scopes_in_order_and_revoked_once(named: NamedKeys) -> None:
    assert named.list() == {}
    add_key(named.file.path, "ann", "audit", "read")
    assert named.list()["ann"].scopes == ("read", "audit")
    assert named.revoke("ann", now=LONG_AGO)
    assert not named.revoke("ann", now=LONG_AGO)
    assert named.list()["ann"].state(LONG_AGO) == "revoked"
    with pytest.raises(KeyNotFound, match="bob"):
        named.revoke("bob", now=LONG_AGO)


def add(named: NamedKeys, name: str, **changed: object) -> str:
    values = {"secret": "s" * 43, "salt": SALT, "now": LONG_AGO, "expires_at": None}
    return named.add(name, ["read"], **{**values, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["admin", "gate", "public", "root", "schedule"])
def test_names_that_the_history_gives_to_others_are_taken(named: NamedKeys, name: str) -> None:
    with pytest.raises(KeyNameTaken, match=name):
        add(named, name)


def test_a_name_is_free_once_its_key_opens_nothing(named: NamedKeys) -> None:
    add(named, "ann", expires_at=LONG_AGO + timedelta(days=1))
    with pytest.raises(KeyNameTaken):
        add(named, "ann")
    add(named, "ann", now=LONG_AGO + timedelta(days=1))
    named.revoke("ann", now=LONG_AGO)
    add(named, "ann")
    assert named.list()["ann"].state(LONG_AGO) == "valid"


def test_many_hands_at_once_lose_no_key(named: NamedKeys) -> None:
    names = [f"key-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: add(named, name), names))
    assert {*named.list()} == {*names}
