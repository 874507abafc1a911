from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from mlengine.core.calendars.market import MarketDirectory
from mlengine.services.bars.upstream.offered_intervals import interval_refusal
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.adapters.library import AdapterOptions, LibraryMarketData
from mlengine.stores.market_data.aliases.aliased_source import AliasedMarketData
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.shape import ServiceShape

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Daily(LibraryMarketData):
    kind = "daily"
    intervals: ClassVar = {"1d": "D"}


def _service(shape: ServiceShape) -> MarketData:
    return HttpMarketData(
        "http://127.0.0.1:9",
        timeout_seconds=1,
        retry_attempts=1,
        retry_backoff_seconds=0,
        deadline_seconds=1,
        shape=shape,
    )


@pytest.mark.parametrize(
    ("source", "offers"),
    [
        (SampleMarketData(), False),
        (AliasedMarketData(SampleMarketData(), MarketDirectory()), False),
        (Daily(AdapterOptions("", None, None, 100, 1.0, 1.0)), False),
        (_service(READY_SHAPES["tiingo"]), False),
        (_service(READY_SHAPES["binance"]), True),
        (_service(ServiceShape()), True),
        (FilesMarketData(Path("/nowhere")), True),
    ],
)
def test_a_source_says_which_bars_it_has_not(source: MarketData, offers: bool) -> None:
    """Without being asked for any: none of these could answer."""
    refusal = interval_refusal(source, "1h", ["AAA"], now=NOW)
    assert refusal == (None if offers else "the source of bars has none of 1h, only of 1d")
    assert interval_refusal(source, "1d", ["AAA"], now=NOW) is None
