from __future__ import annotations

import base64

import pytest

from mlengine.core.pagination import decode_cursor, encode_cursor
from mlengine.errors import InvalidRequest


@pytest.mark.parametrize("position", [1, 9, 10, 12_345, 10**17])
def test_a_cursor_comes_back_as_its_position(position):
    assert decode_cursor(encode_cursor(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "MTI=", "MTI\n", "É", "../x", "MTI" * 2000, "MTI ", "MTJ"]
    + [base64.urlsafe_b64encode(said).decode().rstrip("=") for said in (b"0", b"-1", b"01", b"1e3")]
    + [base64.urlsafe_b64encode(b"9" * 19).decode().rstrip("=")],
)
def test_anything_that_is_not_a_cursor_is_refused_by_name(text):
    if text == "MTJ":  # the same bytes as "MTI" but for bits that base64 ignores
        assert decode_cursor("MTI") == 12
    with pytest.raises(InvalidRequest) as refusal:
        decode_cursor(text)
    assert list(refusal.value.errors) == ["cursor"]
