import numpy as np
import pytest

from mlengine.core.training.splits import (
    RowTimes,
    early_stopping_split,
    holdout_split,
    newest_rows,
    walk_forward,
)
from mlengine.errors import TrainingFailed


def _times(calendars, *, horizon):
    """Rows of symbols whose bars lie on the given days, in (day, symbol) order."""
    rows = [
        (day, number, days[i + horizon])
        for number, days in enumerate(calendars)
        for i, day in enumerate(days[: len(days) - horizon])
    ]
    rows.sort()
    days, _, ends = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return RowTimes(days, ends)


def _lists(split):
    return split.train.tolist(), split.test.tolist(), split.purged.tolist()


def _one(days, *, horizon):
    return _times([list(range(days))], horizon=horizon)


def test_the_holdout_is_the_newest_dates_and_labels_that_reach_into_it_are_purged():
    # 12 bars, horizon 2: rows 0..9, row i's label ends on day i + 2; the holdout begins on day 7.
    split = holdout_split(_one(12, horizon=2), test_share=0.3)
    assert _lists(split) == ([0, 1, 2, 3, 4, 5], [7, 8, 9], [6])


def test_a_label_that_ends_on_the_first_bar_beyond_is_kept():
    split = holdout_split(_one(11, horizon=1), test_share=0.3)
    assert _lists(split) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9], [])


def test_an_embargo_moves_the_limit_back_by_that_many_dates():
    split = holdout_split(_one(12, horizon=2), test_share=0.3, embargo_bars=3)
    assert _lists(split) == ([0, 1, 2], [7, 8, 9], [3, 4, 5, 6])


def test_a_date_is_never_split_between_symbols():
    # Three symbols on 6 days, horizon 1: rows 0..14, three a day.
    split = holdout_split(_times([list(range(6))] * 3, horizon=1), test_share=0.4)
    assert _lists(split) == (list(range(9)), list(range(9, 15)), [])


def test_walk_forward_folds_expand_and_test_every_block_but_the_first():
    # 14 bars, horizon 2: rows 0..11; three folds of 3 dates.
    times = _one(14, horizon=2)
    folds = walk_forward(times, times.rows, folds=3)
    assert [_lists(fold) for fold in folds] == [
        ([0, 1], [3, 4, 5], [2]),
        ([0, 1, 2, 3, 4], [6, 7, 8], [5]),
        ([0, 1, 2, 3, 4, 5, 6, 7], [9, 10, 11], [8]),
    ]


def test_the_oldest_block_takes_the_remainder():
    times = _one(12, horizon=1)
    folds = walk_forward(times, times.rows, folds=2)
    assert [_lists(fold) for fold in folds] == [
        ([0, 1, 2, 3, 4], [5, 6, 7], []),
        ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10], []),
    ]


def test_folds_keep_to_the_rows_they_are_given():
    times = _one(14, horizon=2)
    folds = walk_forward(times, times.rows[:8], folds=1, embargo_bars=1)
    assert [_lists(fold) for fold in folds] == [([0, 1], [4, 5, 6, 7], [2, 3])]


def test_no_folds_are_no_folds():
    times = _one(14, horizon=2)
    assert walk_forward(times, times.rows, folds=0) == ()


def test_a_symbol_halted_for_30_bars_is_purged_by_its_own_label_ends():
    # A trades on days 0..44; B is halted on days 5..34. Horizon 2. Rows in (day, symbol) order:
    # days 0..4 have A and B (rows 0..9), days 5..34 only A (rows 10..39),
    # days 35..42 both (rows 40..55). B's labels of days 3 and 4 end on days 35 and 36.
    steady, halted = list(range(45)), [*range(5), *range(35, 45)]
    times = _times([steady, halted], horizon=2)
    assert times.timestamps[[7, 9]].tolist() == [3, 4]
    assert times.label_ends[[7, 9]].tolist() == [35, 36]
    folds = walk_forward(times, times.rows, folds=3)
    # 43 dates: the oldest block has 13, each tested one 10, from days 13, 23 and 33.
    a_alone = list(range(10, 40))
    assert [_lists(fold) for fold in folds] == [
        ([0, 1, 2, 3, 4, 5, 6, 8, *a_alone[:7]], a_alone[8:18], [7, 9, 17]),
        ([0, 1, 2, 3, 4, 5, 6, 8, *a_alone[:17]], a_alone[18:28], [7, 9, 27]),
        ([0, 1, 2, 3, 4, 5, 6, 8, *a_alone[:27]], [38, 39, *range(40, 56)], [7, 9, 37]),
    ]
    # From day 36 on, both labels over the halt are known, and both rows train.
    late = holdout_split(times, test_share=7 / 43)
    assert _lists(late) == ([*range(40)], [*range(42, 56)], [40, 41])


def test_a_rolling_window_holds_so_many_dates_before_each_boundary():
    # 14 bars, horizon 2: rows 0..11; three folds of 3 dates from days 3, 6 and 9, 4 dates before.
    times = _one(14, horizon=2)
    folds = walk_forward(times, times.rows, folds=3, window_dates=4)
    assert [_lists(fold) for fold in folds] == [
        ([0, 1], [3, 4, 5], [2]),
        ([2, 3, 4], [6, 7, 8], [5]),
        ([5, 6, 7], [9, 10, 11], [8]),
    ]


def test_an_embargo_takes_from_a_rolling_window():
    times = _one(14, horizon=2)
    folds = walk_forward(times, times.rows, folds=3, embargo_bars=1, window_dates=5)
    assert [_lists(fold) for fold in folds] == [
        ([0], [3, 4, 5], [1, 2]),
        ([1, 2, 3], [6, 7, 8], [4, 5]),
        ([4, 5, 6], [9, 10, 11], [7, 8]),
    ]
    expanding = walk_forward(times, times.rows, folds=3, embargo_bars=1)
    assert [_lists(fold) for fold in expanding] == [
        ([0], [3, 4, 5], [1, 2]),
        ([0, 1, 2, 3], [6, 7, 8], [4, 5]),
        ([0, 1, 2, 3, 4, 5, 6], [9, 10, 11], [7, 8]),
    ]


def test_a_window_that_purge_and_embargo_use_up_is_refused():
    times = _one(14, horizon=2)
    with pytest.raises(TrainingFailed, match="longer window"):
        walk_forward(times, times.rows, folds=3, embargo_bars=2, window_dates=3)


def test_a_window_counts_dates_of_all_symbols_and_a_halt_is_purged_within_it():
    # A trades on days 0..44; B is halted on days 5..34. Horizon 2; rows as above.
    times = _times([list(range(45)), [*range(5), *range(35, 45)]], horizon=2)
    folds = walk_forward(times, times.rows, folds=3, window_dates=11)
    # From days 13, 23 and 33; 11 dates before: days 2..12, 12..22, 22..32. Rows 7 and 9 are B's.
    assert [_lists(fold) for fold in folds] == [
        ([4, 5, 6, 8, *range(10, 17)], [*range(18, 28)], [7, 9, 17]),
        ([*range(17, 27)], [*range(28, 38)], [27]),
        ([*range(27, 37)], [38, 39, *range(40, 56)], [37]),
    ]


def test_the_holdout_is_trained_on_the_window_before_it():
    split = holdout_split(_one(12, horizon=2), test_share=0.3, window_dates=3)
    assert _lists(split) == ([4, 5], [7, 8, 9], [6])


def test_the_newest_dates_are_those_of_all_symbols():
    times = _times([list(range(8)), list(range(3, 8))], horizon=1)
    # Days 0..6 for one symbol, 3..6 for the other: rows 3..10 are of days 3..6.
    assert newest_rows(times, window_dates=2).tolist() == [7, 8, 9, 10]
    assert newest_rows(times, window_dates=0).tolist() == list(range(11))
    assert newest_rows(times, window_dates=99).tolist() == list(range(11))


def test_the_stopping_tail_is_the_newest_part_of_the_training_rows_purged_too():
    times = _one(24, horizon=2)
    tail = early_stopping_split(times, times.rows[:20], share=0.15)
    assert _lists(tail) == (list(range(16)), [17, 18, 19], [16])


@pytest.mark.parametrize(
    ("days", "horizon", "embargo"), [(3, 2, 0), (12, 6, 0), (12, 2, 7), (12, 2, 50)]
)
def test_too_little_history_is_refused_in_one_sentence(days, horizon, embargo):
    with pytest.raises(TrainingFailed, match=f"too little history.*embargo of {embargo} bars"):
        holdout_split(_one(days, horizon=horizon), test_share=0.4, embargo_bars=embargo)


def test_more_folds_than_dates_are_refused():
    times = _one(12, horizon=1)
    with pytest.raises(TrainingFailed, match="11 dates"):
        walk_forward(times, times.rows, folds=20)


def test_nothing_that_trains_knows_of_the_test_part():
    rng = np.random.default_rng(5)
    calendars = [sorted(rng.choice(200, 150, replace=False).tolist()) for _ in range(4)]
    times = _times(calendars, horizon=5)
    folds = walk_forward(times, times.rows, folds=4, embargo_bars=2)
    for fold in folds:
        assert times.label_ends[fold.train].max() <= times.timestamps[fold.test].min() - 2
    tested = np.concatenate([fold.test for fold in folds])
    assert len(tested) == len(set(tested.tolist()))
