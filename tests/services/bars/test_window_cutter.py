"""Windows cut one by one and all at once have the same reasons."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.factories import random_bars

from mlengine.core.bars.bars import BarArrays, BarsReport, CleanBars
from mlengine.core.calendars.market import NO_MARKETS
from mlengine.errors import InsufficientBars
from mlengine.services.bars.served import LIVE, BarsView, ServedWindow
from mlengine.services.bars.window_cutter import WindowCutter
from mlengine.stores.bars.cache import CachedBars

START = datetime(2024, 1, 1, tzinfo=UTC)
CUTTER = WindowCutter("1d", NO_MARKETS)
ROWS = pl.int_range(pl.len())


def view(bars: pl.DataFrame, dropped: int = 0) -> BarsView:
    arrays = BarArrays.of(bars)
    report = BarsReport(arrays.rows, {}, {"not_positive": dropped} if dropped else {})
    later = START + timedelta(days=500)
    return BarsView(CachedBars(CleanBars(arrays, report), later, later, START), arrays.rows, LIVE)


def views() -> dict[str, BarsView]:
    usual = random_bars("A", rows=90, start=START)
    prices = ("open", "high", "low", "close")
    split = pl.when(ROWS < 60).then(pl.col(prices)).otherwise(pl.col(prices) / 4.0)
    print_ = pl.when(ROWS == 70).then(pl.col("high") * 100.0).otherwise("high").alias("high")
    volume = pl.when(ROWS < 65).then("volume").otherwise(0.0).alias("volume")
    return {
        "usual": view(usual),
        "split": view(usual.with_columns(split)),
        "print": view(usual.with_columns(print_)),
        "no_volume": view(usual.with_columns(volume)),
        "hole": view(usual.filter(~ROWS.is_between(50, 60))),
        "dropped": view(usual, dropped=30),
        "negative": view(usual.with_columns(pl.col(prices) - 200.0)),
        "few": view(usual.head(30)),
    }


def test_windows_have_the_same_reasons_one_by_one_and_all_at_once() -> None:
    alone = {symbol: CUTTER.cut(symbol, each, 64) for symbol, each in views().items()}
    together = CUTTER.cut_many(views(), 64)
    assert isinstance(together.pop("few"), InsufficientBars)
    assert isinstance(alone.pop("few"), InsufficientBars)
    reasons = {}
    for symbol, window in together.items():
        other = alone[symbol]
        assert isinstance(window, ServedWindow)
        assert isinstance(other, ServedWindow)
        assert window.bars.suspect_reasons == other.bars.suspect_reasons
        assert window.bars.bars_hash == other.bars.bars_hash
        reasons[symbol] = window.bars.suspect_reasons
    assert reasons["usual"] == ()
    assert "unexplained_jump" in reasons["print"]
    assert "no_volume" in reasons["no_volume"]
    assert "hole_in_window" in reasons["hole"]
    assert "bars_dropped" in reasons["dropped"]


@pytest.mark.parametrize("bars", [1, 2])
def test_the_shortest_windows_are_cut(bars: int) -> None:
    (window,) = CUTTER.cut_many({"usual": views()["usual"]}, bars).values()
    assert isinstance(window, ServedWindow)
    assert window.bars.rows == bars
    assert np.isfinite(window.bars.values).all()
