from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.factories import START, panel, random_bars

from mlengine.core.bars.bars import (
    NO_BARS,
    VALUES,
    BarArrays,
    arrays_by_symbol,
    bars_hash,
    frame_of,
    panel_hash,
)

DAY = timedelta(days=1)


def test_known_are_the_bars_that_ended_by_then():
    bars = BarArrays.of(random_bars(rows=5).with_columns(known_at=pl.col("timestamp") + DAY))
    assert bars.count_known_at(START + 3 * DAY) == 3
    assert bars.count_known_at(START + 3 * DAY - DAY / 2) == 2
    assert bars.count_known_at(datetime(1, 1, 1, tzinfo=UTC)) == 0
    assert bars.count_known_at(None) == 5
    assert bars.slice(1, 4).count_known_at(START + 3 * DAY) == 2
    assert bars.last_known_at == bars.last_timestamp + DAY


def test_a_late_bar_hides_those_after_it_until_it_is_known():
    late = pl.when(pl.int_range(pl.len()) == 2).then(9 * DAY).otherwise(DAY)
    bars = BarArrays.of(random_bars(rows=5).with_columns(known_at=pl.col("timestamp") + late))
    assert bars.count_known_at(START + 5 * DAY) == 2
    assert bars.count_known_at(START + 11 * DAY) == 5


def test_when_bars_were_known_is_in_no_hash():
    bars = random_bars(rows=5)
    known = BarArrays.of(bars.with_columns(known_at=pl.col("timestamp") + DAY))
    assert known.bars_hash == bars_hash(bars)
    assert known.payload == BarArrays.of(bars).payload
    assert known.frame().equals(bars)


def test_the_hash_is_over_little_endian_columns():
    bars = random_bars("Ä", rows=3)
    expected = hashlib.sha256()
    expected.update(struct.pack("<q", 2) + "Ä".encode() + struct.pack("<q", 3))
    micros = [int(at.timestamp()) * 1_000_000 for at in bars["timestamp"]]
    expected.update(struct.pack("<3q", *micros))
    for name in ("open", "high", "low", "close", "volume"):
        expected.update(struct.pack("<3d", *bars[name]))
    assert bars_hash(bars) == expected.hexdigest() == panel_hash(bars)


def test_arrays_and_frames_of_bars_are_each_others_inverse():
    bars = panel(3, rows=7)
    blocks = arrays_by_symbol(bars)
    assert list(blocks) == ["S00", "S01", "S02"]
    assert frame_of(list(blocks.values())).equals(bars)
    assert blocks["S01"].slice(2, 5).frame().equals(bars.slice(9, 3))
    assert NO_BARS.frame.schema == bars.schema
    assert arrays_by_symbol(bars.clear()) == {}


def test_the_payload_of_some_bars_is_what_a_block_of_them_is_hashed_by():
    bars = random_bars(rows=9)
    part, cut = bars.slice(2, 5), BarArrays.of(bars).slice(2, 7)
    micros = [int(at.timestamp()) * 1_000_000 for at in part["timestamp"]]
    values = [value for name in VALUES for value in part[name]]
    assert cut.payload == struct.pack("<5q", *micros) + struct.pack("<25d", *values)
    assert cut.bars_hash == bars_hash(part)


def test_the_hash_sees_every_value_and_nothing_else():
    bars = random_bars(rows=20)
    seen = {bars_hash(bars), bars_hash(bars.head(19)), bars_hash(random_bars("AAB", rows=20))}
    for name in ("open", "high", "low", "close", "volume"):
        nudged = bars.with_columns(
            pl.when(pl.int_range(pl.len()) == 7)
            .then(pl.col(name) * (1 + 2.3e-16))
            .otherwise(name)
            .alias(name)
        )
        seen.add(bars_hash(nudged))
    shifted = bars.with_columns(pl.col("timestamp") + timedelta(microseconds=1))
    seen.add(bars_hash(shifted))
    assert len(seen) == 9
    rechunked = pl.concat([bars.head(3), bars.tail(17)], rechunk=False)
    assert bars_hash(rechunked) == bars_hash(bars)


def test_the_hash_knows_one_zero_and_one_nan():
    def of(volume):
        return bars_hash(random_bars(rows=1).with_columns(volume=pl.lit(volume, pl.Float64)))

    negative_nan = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))[0]
    assert of(-0.0) == of(0.0)
    assert of(float("nan")) == of(negative_nan) == of(None) != of(0.0)


def test_the_panel_hash_ignores_the_order_of_rows():
    bars = panel(3, rows=10)
    shuffled = bars.sample(fraction=1.0, shuffle=True, seed=3)
    assert panel_hash(shuffled) == panel_hash(bars)
    assert panel_hash(bars.filter(pl.col("symbol") != "S01")) != panel_hash(bars)


def test_the_bars_of_two_symbols_have_no_bars_hash():
    with pytest.raises(ValueError, match="one symbol"):
        bars_hash(panel(2, rows=2))
