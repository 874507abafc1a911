"""What `mlengine bars check` says of bars that are late."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlengine.cli.quality import quality_text
from mlengine.core.bars.quality import SeriesQuality

LAST = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "calendar", "is_inferred", "told"),
    [
        ("1h", "weekdays", True, False),  # its bars may come for seven hours a day
        ("1h", "24/7", True, True),
        ("1h", "weekdays", False, True),
        ("1d", "weekdays", True, True),
    ],
)
def test_bars_are_called_late_where_it_is_known_when_they_are_due(
    interval: str, calendar: str, is_inferred: bool, told: bool
) -> None:
    series = SeriesQuality(
        *("AAA", interval, "ok", ()),
        calendar=calendar,
        calendar_is_inferred=is_inferred,
        last=LAST,
        missed_bars=16,
    )
    text = quality_text([series], [])
    assert ("16 bars that were expected since" in text) is told
    assert (text.splitlines()[1].split()[9] == "16") is told
