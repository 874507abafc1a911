from datetime import timedelta

import polars as pl
import pytest
from tests.factories import START, panel, random_bars

from mlengine.core.training.labels import cross_sectional_zscore, label_expr, label_rows


def _bars(closes, symbol="AAA"):
    return random_bars(symbol, rows=len(closes)).with_columns(
        pl.Series("close", closes, dtype=pl.Float64)
    )


def _day(number):
    return START + timedelta(days=number)


def test_a_label_is_the_return_from_this_close_to_the_close_of_the_horizon():
    rows = label_rows(_bars([100, 110, 121, 60.5]), horizon_bars=2)
    assert rows.to_dicts() == [
        {
            "symbol": "AAA",
            "timestamp": _day(0),
            "forward_return": 121 / 100 - 1,
            "label_starts": _day(0),
            "label_ends": _day(2),
        },
        {
            "symbol": "AAA",
            "timestamp": _day(1),
            "forward_return": 60.5 / 110 - 1,
            "label_starts": _day(1),
            "label_ends": _day(3),
        },
    ]


def test_a_delay_moves_both_ends_of_the_label_to_the_next_bar():
    rows = label_rows(_bars([100, 110, 121, 60.5]), horizon_bars=1, delay_bars=1)
    assert rows["forward_return"].to_list() == [121 / 110 - 1, 60.5 / 121 - 1]
    assert rows["timestamp"].to_list() == [_day(0), _day(1)]
    assert rows["label_starts"].to_list() == [_day(1), _day(2)]
    assert rows["label_ends"].to_list() == [_day(2), _day(3)]


def test_last_horizon_bars_of_each_symbol_have_no_label():
    rows = label_rows(panel(3, rows=50), horizon_bars=5, delay_bars=1)
    assert rows.group_by("symbol").len().sort("symbol")["len"].to_list() == [44, 44, 44]


def test_labels_never_cross_symbols():
    alone = label_rows(random_bars("S01", rows=40, seed=8), horizon_bars=5)
    within = label_rows(panel(3, rows=40), horizon_bars=5).filter(pl.col("symbol") == "S01")
    assert within.equals(alone)


def test_row_order_of_the_bars_does_not_matter():
    bars = panel(3, rows=40)
    assert label_rows(bars.reverse(), horizon_bars=5).equals(label_rows(bars, horizon_bars=5))


def test_bars_count_across_a_halt():
    bars = random_bars(rows=40)
    halted = bars.filter(~pl.col("timestamp").is_between(_day(10), _day(29)))
    row = label_rows(halted, horizon_bars=3).filter(pl.col("timestamp") == _day(8))
    assert row["label_ends"].to_list() == [_day(31)]


def test_labels_change_when_future_bars_change():
    bars = random_bars(rows=30)
    bumped = bars.with_columns(
        pl.col("close") * pl.when(pl.col("timestamp") == _day(20)).then(2.0).otherwise(1.0)
    )
    before = label_rows(bars, horizon_bars=5)["forward_return"]
    after = label_rows(bumped, horizon_bars=5)["forward_return"]
    assert (before != after).arg_true().to_list() == [15, 20]


def test_an_exact_zero_is_down():
    frame = pl.DataFrame({"forward_return": [-0.1, 0.0, 0.1]})
    assert frame.select(label_expr("direction")).to_series().to_list() == [0.0, 0.0, 1.0]
    assert frame.select(label_expr("return")).to_series().to_list() == [-0.1, 0.0, 0.1]


def test_too_few_bars_give_no_rows_at_all():
    assert label_rows(random_bars(rows=5), horizon_bars=5).is_empty()


def _date(day, labels, ends=5):
    return pl.DataFrame(
        {
            "symbol": [f"S{i:02d}" for i in range(len(labels))],
            "timestamp": _day(day),
            "label": labels,
            "forward_return": labels,
            "label_ends": _day(day + ends),
        }
    )


def test_a_z_score_is_taken_among_the_symbols_of_the_date():
    rows = cross_sectional_zscore(
        pl.concat([_date(0, [float(i) for i in range(10)]), _date(1, [1.0] * 11)])
    )
    assert rows["timestamp"].unique().to_list() == [_day(0)]
    # 0..9: mean 4.5, sample variance 55 / 6.
    expected = [(i - 4.5) / (55 / 6) ** 0.5 for i in range(10)]
    assert rows["label"].to_list() == pytest.approx(expected, rel=1e-14)
    assert rows["forward_return"].to_list() == [float(i) for i in range(10)]


def test_dates_with_fewer_than_ten_symbols_have_no_z_scores():
    nine, ten = ([float(i) for i in range(n)] for n in (9, 10))
    assert cross_sectional_zscore(pl.concat([_date(0, nine), _date(1, ten)])).height == 10


@pytest.mark.parametrize("still", [0.1, 0.0, 1e300])
def test_a_date_without_any_difference_is_left_out(still):
    # The deviation of equal numbers, as computed, is not always zero.
    assert cross_sectional_zscore(_date(0, [still] * 12)).is_empty()


def test_a_z_score_is_known_when_the_last_symbol_of_its_date_is():
    halted = _date(0, [float(i) for i in range(12)]).with_columns(
        pl.when(pl.col("symbol") == "S07")
        .then(_day(40))
        .otherwise("label_ends")
        .alias("label_ends")
    )
    assert cross_sectional_zscore(halted)["label_ends"].unique().to_list() == [_day(40)]
