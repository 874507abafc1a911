from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlengine.core.bars.epochs import EPOCH_UNITS, epoch_timestamps
from mlengine.errors import UpstreamInvalid

JAN2 = datetime(2024, 1, 2, tzinfo=UTC)
SECONDS = 1704153600
DAY = timedelta(days=1)


def moments(*numbers: float | None, unit: str | None = None) -> list[datetime | None]:
    return epoch_timestamps(pl.Series(numbers, strict=False), unit=unit).to_list()


@pytest.mark.parametrize("unit", EPOCH_UNITS)
@pytest.mark.parametrize("kind", [int, float])
def test_one_unit_holds_for_a_whole_column(unit: str, kind: type) -> None:
    ticks = EPOCH_UNITS[unit]
    numbers = [kind((SECONDS + 86400 * day) * ticks) for day in range(3)]
    assert moments(*numbers) == moments(*numbers, unit=unit) == [JAN2, JAN2 + DAY, JAN2 + 2 * DAY]


@pytest.mark.parametrize("number", [20240102, 20240102.0, 202401020000, 20240102000000])
def test_a_date_may_be_written_as_one_number(number: float) -> None:
    assert moments(number, None) == [JAN2, None]


def test_some_bad_numbers_among_dates_cost_themselves() -> None:
    dates = [20240101 + day for day in range(20)]
    assert moments(*dates, 20240199)[-2:] == [JAN2 + 18 * DAY, None]


@pytest.mark.parametrize("garbage", [0, 20240102, 1.5, float("nan"), float("inf")])
def test_garbage_among_moments_is_never_of_1970(garbage: float) -> None:
    assert moments(SECONDS, garbage) == [JAN2, None]


def test_a_history_from_before_1970_goes_through_it() -> None:
    days = [-86400 * 400, -86400, 86400, 86400 * 400]
    assert moments(*days)[1:3] == [
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(1970, 1, 2, tzinfo=UTC),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_change_of_the_unit_is_read_where_the_moments_are_in_order(order: int) -> None:
    numbers = [SECONDS * 10**3, (SECONDS + 86400) * 10**3, (SECONDS + 2 * 86400) * 10**6]
    assert moments(*numbers[::order]) == [JAN2, JAN2 + DAY, JAN2 + 2 * DAY][::order]


def test_several_units_out_of_order_are_refused_by_example() -> None:
    back_again = (SECONDS * 10**3, SECONDS * 10**6, (SECONDS + 5) * 10**3)
    for numbers in (back_again, (SECONDS * 10**3, -(10**18))):
        with pytest.raises(UpstreamInvalid, match="several units, such as 1704153600000, "):
            moments(*numbers)


@pytest.mark.parametrize("numbers", [(1, 2, 3), (20241399,), (1e300,), (5e9,)])
def test_numbers_without_a_plausible_unit_are_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(UpstreamInvalid, match="no moment"):
        moments(*numbers)


def test_a_stated_unit_decides() -> None:
    assert moments(5e9, unit="ms") == [datetime(1970, 2, 27, 20, 53, 20, tzinfo=UTC)]
    assert moments(SECONDS * 10**9, unit="s") == [None]


def test_a_column_without_numbers_has_no_moments() -> None:
    assert moments(None, None) == [None, None]
