import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mlengine.core import serialization


@dataclass(frozen=True)
class Inner:
    share: float | None


@dataclass(frozen=True)
class Outer:
    at: datetime
    inners: tuple[Inner, ...]
    params: Mapping[str, int | float | str | bool]
    by_name: Mapping[str, Inner]
    note: str | None = None


OUTER = Outer(
    at=datetime(2024, 2, 29, 12, tzinfo=UTC),
    inners=(Inner(0.5), Inner(None)),
    params={"rounds": 3, "rate": 0.1, "kind": "gbdt", "fixed": True},
    by_name={"a": Inner(1.0)},
)
PLAIN = {
    "at": "2024-02-29T12:00:00Z",
    "inners": [{"share": 0.5}, {"share": None}],
    "params": {"rounds": 3, "rate": 0.1, "kind": "gbdt", "fixed": True},
    "by_name": {"a": {"share": 1.0}},
    "note": None,
}


def test_records_become_plain_values_and_come_back():
    assert serialization.to_plain(OUTER) == PLAIN
    assert serialization.from_plain(Outer, PLAIN) == OUTER


def test_nan_and_infinity_become_null():
    assert serialization.to_plain([math.nan, math.inf, -math.inf, 1.5]) == [None, None, None, 1.5]


def test_moments_are_written_in_utc():
    moment = datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert serialization.to_plain(moment) == "2024-01-01T00:00:00Z"


def test_a_whole_number_in_a_float_field_becomes_a_float():
    assert type(serialization.from_plain(Inner, {"share": 1}).share) is float


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"at": 5}, "at"),
        ({"at": "2024-02-29T12:00:00"}, "'2024-02-29T12:00:00' has no zone"),
        ({"inners": {}}, "inners"),
        ({"inners": [[]]}, "inners"),
        ({"inners": [{"share": "1"}]}, "share"),
        ({"inners": [{"share": True}]}, "share"),
        ({"params": {"rounds": None}}, "params"),
        ({"by_name": []}, "by_name"),
        ({"note": 3}, "note"),
        ({"more": 3}, "Outer"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(change, where):
    with pytest.raises(ValueError, match=f"^{where}"):
        serialization.from_plain(Outer, {**PLAIN, **change})


def test_something_else_than_an_object_is_refused():
    with pytest.raises(ValueError, match=r"^Inner: an object"):
        serialization.from_plain(Inner, [])
