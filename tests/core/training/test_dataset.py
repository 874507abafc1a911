from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from tests.core.small_features import SMALL
from tests.factories import START, panel, random_bars

from mlengine.core.training.dataset import build


def _build(bars, **how):
    return build(bars, SMALL, **{"horizon_bars": 3, "objective": "direction", **how})


def test_a_row_needs_a_full_window_and_a_known_label():
    frame = _build(random_bars(rows=20)).frame
    days = [(moment - START).days for moment in frame["timestamp"]]
    assert days == list(range(5, 17))


def test_rows_stand_in_order_of_time_then_symbol():
    dataset = _build(panel(3, rows=20).reverse())
    keys = dataset.frame.select("timestamp", "symbol")
    assert keys.equals(keys.sort("timestamp", "symbol"))
    assert dataset.frame["symbol"][:3].to_list() == ["S00", "S01", "S02"]


def test_each_row_holds_its_label_and_what_was_known():
    bars = random_bars(rows=20)
    close = bars["close"]
    row = _build(bars, objective="return", delay_bars=1).frame.row(0, named=True)
    assert row["timestamp"] == START + timedelta(days=5)
    assert row["label"] == row["forward_return"] == close[9] / close[6] - 1
    assert row["last_return"] == close[5] / close[4] - 1
    assert row["label_starts"] == START + timedelta(days=6)
    assert row["label_ends"] == START + timedelta(days=9)
    assert row["momentum_5"] == pytest.approx(close[5] / close[0] - 1)


def test_direction_labels_are_ones_and_zeros():
    dataset = _build(random_bars(rows=60))
    ups = dataset.column("forward_return") > 0
    assert dataset.column("label").tolist() == ups.astype(float).tolist()


def test_a_single_undefined_feature_is_nan_and_keeps_its_row():
    bars = random_bars(rows=20).with_columns(
        pl.when(pl.col("timestamp") == START + timedelta(days=8))
        .then(pl.col("close").shift(1))
        .otherwise(pl.col("close"))
        .alias("close")
    )
    dataset = _build(bars)
    matrix = dataset.matrix()
    assert matrix.shape == (12, 3)
    assert matrix.dtype == np.float64
    assert matrix.flags.c_contiguous
    assert np.argwhere(np.isnan(matrix)).tolist() == [[3, 2]]


def test_moments_are_microseconds_of_the_epoch():
    dataset = _build(random_bars(rows=20))
    first = int((START + timedelta(days=5)).timestamp()) * 1_000_000
    assert dataset.times("timestamp")[0] == first
    assert dataset.times("label_ends")[0] - first == 3 * 86_400_000_000


def test_too_few_bars_give_an_empty_dataset():
    dataset = _build(random_bars(rows=8))
    assert dataset.frame.is_empty()
    assert dataset.matrix().shape == (0, 3)


def _members(*lines):
    schema = {"symbol": pl.String, "from": pl.Date, "to": pl.Date}
    return pl.DataFrame(lines, schema, orient="row")


def test_rows_count_on_the_dates_of_membership_both_ends_included():
    members = _members(
        ("S00", date(2020, 1, 8), date(2020, 1, 10)),
        ("S00", date(2020, 1, 10), date(2020, 1, 11)),  # an overlap counts once
        ("S01", date(2020, 1, 15), None),
        ("S09", date(2020, 1, 1), None),
    )
    frame = _build(panel(3, rows=20), members=members).frame
    days = frame.select("symbol", pl.col("timestamp").dt.day()).rows()
    assert days == [
        ("S00", 8), ("S00", 9), ("S00", 10), ("S00", 11), ("S01", 15), ("S01", 16), ("S01", 17)
    ]  # fmt: skip


def test_membership_limits_rows_and_not_the_bars_behind_them():
    bars = panel(3, rows=20)
    members = _members(("S00", date(2020, 1, 8), date(2020, 1, 8)))
    limited, whole = _build(bars, members=members).frame, _build(bars).frame
    assert limited.equals(whole.filter(symbol="S00").filter(pl.col("timestamp").dt.day() == 8))


def test_z_scores_are_taken_among_members_only():
    bars = panel(11, rows=20)
    everyone = _members(*[(f"S{i:02d}", date(2020, 1, 1), None) for i in range(11)])
    how = {"objective": "return", "label_transform": "cs_zscore"}
    assert _build(bars, members=everyone, **how).frame.equals(_build(bars, **how).frame)
    ten = _build(bars, members=everyone.head(10), **how).frame
    assert ten.equals(_build(bars.filter(pl.col("symbol") != "S10"), **how).frame)
    assert _build(bars, members=everyone.head(9), **how).frame.is_empty()


def test_features_of_some_rows_are_read_in_place_where_they_stand_together():
    dataset = _build(panel(3, rows=20))
    for rows in ([3, 4, 5, 6], [0, 2, 9], [], [35]):
        chosen = np.array(rows, dtype=np.int64)
        assert dataset.features(chosen).equals(dataset.frame[rows].select(dataset.feature_names))
        matrix = dataset.matrix()[chosen]
        assert dataset.matrix(chosen).tobytes() == matrix.tobytes()
