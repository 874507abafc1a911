from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.named_keys import LONG_AGO, add_key

from mlengine.core.keys import SCOPES
from mlengine.errors import Unauthorized
from mlengine.services.keys.authentication import Authentication
from mlengine.stores.keys.key_file import KeyFile
from mlengine.stores.keys.key_ring import KeyRing

ADMIN = "an-admin-key"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_an_admin_key_has_every_scope_and_a_named_one_its_own(path: Path) -> None:
    key = add_key(path, "ann", "predict", "read")
    keys = Authentication({"root": ADMIN}, KeyRing(KeyFile(path)))
    admin, ann = (keys.authenticate(each, now=LONG_AGO) for each in (ADMIN, key))
    assert (admin.name, admin.scopes) == ("root", {*SCOPES})
    assert (ann.name, ann.scopes) == ("ann", {"read", "predict"})
    for wrong in ("", "x", ADMIN + "x", key + "x", "schlüssel"):
        with pytest.raises(Unauthorized):
            keys.authenticate(wrong, now=LONG_AGO)


def test_a_key_expires_also_after_it_was_used(path: Path) -> None:
    end = LONG_AGO + timedelta(days=1)
    key = add_key(path, "ann", "read", expires_at=end)
    keys = Authentication({}, KeyRing(KeyFile(path)))
    for _ in range(2):
        assert keys.authenticate(key, now=end - timedelta(seconds=1)).name == "ann"
        with pytest.raises(Unauthorized, match="expired"):
            keys.authenticate(key, now=end)


def test_without_a_file_and_an_admin_key_there_are_none(path: Path) -> None:
    assert not Authentication({}, KeyRing(None)).has_keys
    assert Authentication({"admin": ADMIN}, KeyRing(None)).has_keys
    add_key(path, "ann", "read")
    assert Authentication({}, KeyRing(KeyFile(path))).has_keys
