"""Outcomes are read from recorded bars, or from what the upstream adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.platforms import NOW, bars_folder, make_platform
from tests.published import publish

from mlengine.bootstrap.platform import Platform
from mlengine.core.bars.bars import frame_of
from mlengine.core.outcomes.outcome import PendingOutcome
from mlengine.core.versions.manifest import Manifest
from mlengine.services.outcomes.reader import OutcomeReader
from mlengine.services.outcomes.step import OutcomeStep

BAR = datetime(2020, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SYMBOLS = tuple(f"S{number:02d}" for number in range(12))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = make_platform(tmp_path, models=0)
    bars_folder(tmp_path / "bars", symbols=SYMBOLS)
    yield platform
    platform.control.database.dispose()


@pytest.fixture
def reader(platform: Platform) -> OutcomeReader:
    (step,) = (each for each in platform.monitoring_updates.steps if isinstance(each, OutcomeStep))
    return step.reader


def relative(platform: Platform, universe: bytes | None = None) -> Manifest:
    """A version whose labels say how far a symbol is ahead of the others."""
    publish(platform.registry.directory, beside={"universe.csv": universe} if universe else None)
    manifest = platform.registry.manifest("v1")
    return replace(
        manifest,
        objective="return",
        label=replace(manifest.label, transform="cs_zscore"),
        data=replace(manifest.data, symbols=SYMBOLS),
    )


def pending(*symbols: str) -> list[PendingOutcome]:
    return [
        PendingOutcome(number, symbol, BAR, BAR + DAY, BAR + 6 * DAY, BAR + 7 * DAY)
        for number, symbol in enumerate(symbols)
    ]


def test_a_relative_label_is_among_all_symbols_of_the_version(
    platform: Platform, reader: OutcomeReader
) -> None:
    manifest = relative(platform)
    (one,) = reader.decide(manifest, pending("S00"), now=NOW)
    every = list(reader.decide(manifest, pending(*SYMBOLS), now=NOW))
    assert one.state == "scored"
    assert one.label == next(each.label for each in every if each.id == 0)
    assert sum(each.label or 0.0 for each in every) == pytest.approx(0.0, abs=1e-9)


def test_a_relative_label_is_among_the_members_of_the_date(
    platform: Platform, reader: OutcomeReader
) -> None:
    members = [f"{symbol},2019-01-01," for symbol in SYMBOLS[:10]]
    later = [f"{symbol},2022-01-01," for symbol in SYMBOLS[10:]]
    universe = "\n".join(["symbol,from,to", *members, *later, ""]).encode()
    every = list(reader.decide(relative(platform, universe), pending(*SYMBOLS), now=NOW))
    labels = {each.id: each.label for each in every if each.state == "scored"}
    assert labels.keys() == set(range(10))
    assert sum(label or 0.0 for label in labels.values()) == pytest.approx(0.0, abs=1e-9)
    assert {each.reason for each in every if each.id not in labels} == {"label_undefined"}


def test_bars_that_were_never_recorded_are_fetched_and_only_where_asked(
    reader: OutcomeReader,
) -> None:
    adjustment = reader.bars.service.adjustment
    ask = {"since": BAR, "adjustment": adjustment, "now": NOW}
    assert reader.bars.read("S00", **ask, fetch=False) is None  # type: ignore[arg-type]
    held = reader.bars.read("S00", **ask, fetch=True)  # type: ignore[arg-type]
    assert held is not None
    assert len(held.bars.starts) >= 64


def test_bars_are_adjusted_as_those_of_the_version_were(
    reader: OutcomeReader, tmp_path: Path
) -> None:
    split = "symbol,date,kind,value\nS00,2020-12-01,split,4\n"
    (tmp_path / "bars" / "actions.csv").write_text(split)
    raw, adjusted = (
        reader.bars.read("S00", since=BAR, adjustment=adjustment, now=NOW, fetch=True)
        for adjustment in ("none", "all")
    )
    assert raw is not None
    assert adjusted is not None
    closes = [frame_of([held.bars])["close"].to_numpy() for held in (raw, adjusted)]
    ratios = closes[0] / closes[1]
    assert (ratios[0], ratios[-1]) == pytest.approx((4.0, 1.0))


def test_a_symbol_whose_bars_cannot_be_had_stays_undecided(
    platform: Platform, reader: OutcomeReader, tmp_path: Path
) -> None:
    publish(platform.registry.directory)
    manifest = platform.registry.manifest("v1")
    (tmp_path / "bars" / "S00.parquet").write_bytes(b"no table")
    decided = list(reader.decide(manifest, pending("S00", "S01"), now=NOW))
    assert [(each.id, each.state) for each in decided] == [(1, "scored")]
