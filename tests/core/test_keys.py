from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlengine.core import keys
from mlengine.core.keys import ApiKey

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "a_b-" * 10 + "xyz"


def test_what_is_written_is_parsed_also_with_dashes_and_underscores_in_the_secret() -> None:
    assert keys.parse_key(keys.write_key("ci-2", SECRET)) == ("ci-2", SECRET)


@pytest.mark.parametrize(
    "text",
    [
        *("", "mle_", "mle_ann", f"mle__{SECRET}", f"mle_ann_{SECRET}x", f"mle_ann_{SECRET[1:]}"),
        *(f"mle_-a_{SECRET}", f" mle_ann_{SECRET}", f"mle_ann_{SECRET}\n", f"MLE_ann_{SECRET}"),
        *(f"mle_änn_{SECRET}", f"mle_{'a' * 33}_{SECRET}", f"mle_ann_{'é' * 43}"),
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    assert keys.parse_key(text) is None


def test_the_hash_is_that_of_rfc_7914_and_of_its_salt() -> None:
    first = keys.hash_secret(SECRET, "00" * 16)
    assert first == keys.hash_secret(SECRET, "00" * 16) != keys.hash_secret(SECRET, "01" * 16)
    assert len(bytes.fromhex(first)) == 32


def test_a_key_is_valid_until_it_expires_or_is_revoked() -> None:
    key = ApiKey(scopes=("read",), salt="0" * 32, hash="f" * 64, created_at=NOON)
    assert key.state(NOON) == "valid"
    ending = ApiKey(**{**vars(key), "expires_at": NOON})
    assert [ending.state(NOON - timedelta(seconds=1)), ending.state(NOON)] == ["valid", "expired"]
    assert ApiKey(**{**vars(ending), "revoked_at": NOON}).state(NOON) == "revoked"


def test_a_key_shows_neither_salt_nor_hash() -> None:
    shown = repr(ApiKey(scopes=("read",), salt="0" * 32, hash="f" * 64, created_at=NOON))
    assert "f" * 64 not in shown
    assert "0" * 32 not in shown


@pytest.mark.parametrize(
    "changed",
    [
        {"scopes": ()},
        {"scopes": ("read", "read")},
        {"salt": "0" * 31},
        {"salt": "0" * 64},
        {"hash": "F" * 64},
        {"hash": ""},
    ],
)
def test_what_could_not_be_checked_is_refused(changed: dict[str, object]) -> None:
    values = {"scopes": ("read",), "salt": "0" * 32, "hash": "f" * 64, "created_at": NOON}
    with pytest.raises(ValueError, match=r"scopes|hexadecimal"):
        ApiKey(**{**values, **changed})


def test_scopes_have_one_order() -> None:
    assert keys.ordered_scopes(["audit", "read", "audit"]) == ("read", "audit")
