from __future__ import annotations

from datetime import UTC, datetime

import pytest
from marshmallow import ValidationError

from mlengine.errors import ModelNotFound
from mlengine.web.http.responses import encode
from mlengine.web.schemas.fields import (
    AsOfField,
    BoundedFloat,
    BoundedInteger,
    QueryFlag,
    version_of_path,
)

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
AS_OF = AsOfField(lambda: NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-31T16:00:00Z", datetime(2024, 5, 31, 16, tzinfo=UTC)),
        ("2024-05-31t16:00:00z", datetime(2024, 5, 31, 16, tzinfo=UTC)),
        ("2024-05-31T16:00:00-04:00", datetime(2024, 5, 31, 20, tzinfo=UTC)),
        ("2024-05-31T16:00:00.5+00:00", datetime(2024, 5, 31, 16, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-05-31T16:00:00.123456789Z", datetime(2024, 5, 31, 16, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-05-31", datetime(2024, 6, 1, tzinfo=UTC)),
        ("2024-02-28", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-06-01T12:00:00Z", NOW),
        ("2024-06-01", datetime(2024, 6, 2, tzinfo=UTC)),
    ],
)
def test_a_moment_with_a_zone_or_the_end_of_a_date(text: str, moment: datetime) -> None:
    assert AS_OF.deserialize(text) == moment


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2024-05-31T16:00:00", "has no zone"),
        ("2024-05-31T16:00:00 02:00", "send \\+ as %2B"),
        ("2024-06-01T12:00:01Z", "in the future"),
        ("2024-06-02", "in the future"),
        ("2024-06-01T13:00:00-04:00", "in the future"),
        ("2023-02-29", "no such moment"),
        ("2024-05-31T24:30:00Z", "no such moment"),
        ("2024-05-31T23:59:60Z", "no such moment"),
        ("0001-01-01T00:00:00+05:00", "no such moment"),
        ("9999-12-31", "no such moment"),
        ("2024-5-31", "must be RFC 3339"),
        ("20240531T160000Z", "must be RFC 3339"),
        ("2024-W22-5", "must be RFC 3339"),
        ("２０２４-05-31", "must be RFC 3339"),
        ("2024-05-31\n", "must be RFC 3339"),
        ("1717171717", "must be RFC 3339"),
        ("now", "must be RFC 3339"),
        ("", "must be RFC 3339"),
        (1717171717, "must be RFC 3339"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AS_OF.deserialize(text)


@pytest.mark.parametrize(
    "text",
    ["v0", "v01", "1", "V1", "v", "v-1", "v1 ", "v1\n", "v１", "v" + "1" * 11, "../x", "v1;"],
)
def test_a_malformed_version_in_a_path_is_a_version_that_does_not_exist(text: str) -> None:
    with pytest.raises(ModelNotFound):
        version_of_path(text)


def test_a_version_is_a_number_without_padding() -> None:
    assert version_of_path("v1234567890") == "v1234567890"


@pytest.mark.parametrize("given", ["True", "yes", "", "01", "TRUE", "on"])
def test_a_flag_is_true_or_false(given: str) -> None:
    with pytest.raises(ValidationError):
        QueryFlag().deserialize(given)


def test_flags_may_be_digits() -> None:
    assert [QueryFlag().deserialize(text) for text in ("true", "1", "false", "0")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("given", ["5", 5.0, True, None, -1, 11, 10**30])
def test_a_whole_number_of_a_body_is_a_json_integer_in_bounds(given: object) -> None:
    with pytest.raises(ValidationError):
        BoundedInteger(0, 10).deserialize(given)


@pytest.mark.parametrize("given", ["0.2", True, 0.6, 0.01, [], float("nan"), float("inf")])
def test_a_share_is_a_json_number_in_bounds(given: object) -> None:
    with pytest.raises(ValidationError):
        BoundedFloat(0.05, 0.5).deserialize(given)


def test_a_moment_goes_out_in_utc() -> None:
    assert encode({"at": NOW}) == b'{"at":"2024-06-01T12:00:00Z"}'
    assert encode({"at": None}) == b'{"at":null}'
