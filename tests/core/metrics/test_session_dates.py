import numpy as np
import pytest
from tests.core.metrics.rows import DAY

from mlengine.core.metrics.session_dates import (
    bars_a_date,
    label_span_dates,
    mean_by_session,
    steps_to_label_end,
)

HOUR = DAY // 24


def test_a_date_counts_once_however_many_symbols_and_stamps_it_has():
    stamps = np.array([2 * DAY, DAY, 2 * DAY + HOUR, 3 * DAY, 2 * DAY + 23 * HOUR])
    values = np.array([1.0, 5.0, 2.0, 7.0, 6.0])
    assert mean_by_session(stamps, values).tolist() == [5.0, 3.0, 7.0]


def _weekdays(dates):
    days = np.arange(dates)
    return days[days % 7 < 5] * DAY


def test_a_label_of_stocks_spans_the_weekend_that_a_coin_trades():
    stocks, coin = _weekdays(700), np.arange(700) * DAY
    assert label_span_dates(stocks[:-5], stocks[5:]) == 5
    together = np.concatenate([stocks[:-5], coin[:-5]])
    ends = np.concatenate([stocks[5:], coin[5:]])
    assert label_span_dates(together, ends) == 7


def test_a_halt_of_few_rows_does_not_make_the_span():
    stamps = np.arange(1_000) * DAY
    ends = stamps + 5 * DAY
    ends[100:105] += 300 * DAY
    assert label_span_dates(stamps[:-5], ends[:-5]) == 5
    ends[100:200] += 100 * DAY
    assert label_span_dates(stamps[:-5], ends[:-5]) == 105


def test_labels_that_all_end_later_span_the_whole_part():
    stamps = np.arange(10) * DAY
    assert label_span_dates(stamps, stamps + 30 * DAY) == 10


def test_where_a_date_has_several_stamps_neighbouring_dates_overlap_too():
    stamps = np.arange(100) * DAY
    assert steps_to_label_end(stamps[:-1], stamps[1:]) == 1
    asia, america = stamps, stamps + 14 * HOUR
    both = np.concatenate([asia[:-1], america[:-1]])
    assert steps_to_label_end(both, both + DAY) == 2


@pytest.mark.parametrize(("stamps_a_date", "symbols"), [(1, 3), (7, 1), (24, 2)])
def test_bars_a_date_are_those_of_one_symbol(stamps_a_date, symbols):
    stamps = (np.arange(50)[:, None] * DAY + np.arange(stamps_a_date) * HOUR).ravel()
    numbers = np.repeat(np.arange(symbols), len(stamps))
    assert bars_a_date(np.tile(stamps, symbols), numbers) == stamps_a_date
