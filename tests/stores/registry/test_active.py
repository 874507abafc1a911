from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from mlengine.stores.registry.active import ActiveVersion, dump, parse_or_none

ACTIVE = ActiveVersion(
    version="v1",
    generation=1,
    activated_at=datetime(2024, 1, 1, tzinfo=UTC),
    actor="ops",
    reason="a test",
)


def test_what_is_dumped_is_parsed_again() -> None:
    assert parse_or_none(dump(ACTIVE)) == ACTIVE


def test_a_file_that_names_no_version_or_generation_is_damaged() -> None:
    for damaged in (replace(ACTIVE, version="../v1"), replace(ACTIVE, generation=0)):
        assert parse_or_none(dump(damaged)) is None
    assert parse_or_none(b"{") is None
