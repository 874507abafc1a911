from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlengine.core.calendars.age import BarAge, weekday_duration
from mlengine.core.calendars.expected import BarCadence
from mlengine.core.calendars.named import calendar
from mlengine.core.predictions.usability import ModelAge, UsabilityLimits

FRIDAY = datetime(2024, 5, 31, tzinfo=UTC)  # its daily bar is final on Saturday at midnight
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WHOLE, HOLED = np.array([1.0, 2.0]), np.array([1.0, np.nan])


def reasons(limits: UsabilityLimits, *, moment: datetime, features=WHOLE, interval="1d"):
    return limits.reasons(
        bar_timestamp=FRIDAY,
        interval=interval,
        trained_at=FRIDAY,
        features=features,
        moment=moment,
    )


@pytest.mark.parametrize(
    ("moment", "old"),
    [
        (FRIDAY + DAY, False),
        (FRIDAY + 3 * DAY, False),  # Monday
        (FRIDAY + 6 * DAY, False),  # Thursday at midnight: three weekdays
        (FRIDAY + 6 * DAY + HOUR, True),
    ],
)
def test_a_weekend_makes_no_bar_old(moment, old):
    found = reasons(UsabilityLimits(max_bar_age_bars=3), moment=moment)
    assert found == (("bar_too_old",) if old else ())


def test_a_model_is_too_old_after_its_days():
    limits = UsabilityLimits(max_model_age_days=30)
    assert reasons(limits, moment=FRIDAY + 30 * DAY) == ()
    assert reasons(limits, moment=FRIDAY + 30 * DAY + HOUR) == ("model_too_old",)


def test_nulls_count_only_where_all_features_are_wanted():
    moment = FRIDAY + DAY
    assert reasons(UsabilityLimits(), moment=moment, features=HOLED) == ()
    strict = UsabilityLimits(all_features=True)
    assert reasons(strict, moment=moment, features=HOLED) == ("null_features",)
    assert reasons(strict, moment=moment) == ()


def test_what_is_wrong_with_the_bars_is_always_said_and_refused_on_demand():
    def of_bars(limits):
        return limits.reasons(
            bar_timestamp=FRIDAY,
            interval="1d",
            trained_at=FRIDAY,
            features=HOLED,
            moment=FRIDAY + DAY,
            suspect_reasons=("hole_in_window",),
        )

    calm, strict = UsabilityLimits(), UsabilityLimits(refuse_suspect_bars=True)
    assert of_bars(calm) == of_bars(strict) == ("hole_in_window",)
    assert (calm.tolerate_all(of_bars(calm)), strict.tolerate_all(of_bars(strict))) == (True, False)
    assert calm.tolerate_all(())
    assert strict.tolerate_all(())
    holed = UsabilityLimits(all_features=True)
    assert of_bars(holed) == ("null_features", "hole_in_window")
    assert not holed.tolerate_all(of_bars(holed))


def test_a_delisted_symbol_is_said_from_the_end_of_its_last_day_on():
    age = BarAge(FRIDAY, DAY, FRIDAY + 40 * DAY, None, ends_at=FRIDAY + DAY)
    assert (age.is_stale, age.bars) == (False, 0)
    facts = {"bar_timestamp": FRIDAY, "interval": "1d", "trained_at": FRIDAY, "features": WHOLE}
    calm = UsabilityLimits()
    strict = UsabilityLimits(max_bar_age_bars=2, refuse_stale_bars=True, refuse_suspect_bars=True)
    for moment, expected in ((FRIDAY + 40 * DAY, ("delisted",)), (FRIDAY + 23 * HOUR, ())):
        found = strict.reasons(**facts, moment=moment, age=replace(age, moment=moment))
        assert found == expected
        assert (calm.tolerate_all(found), strict.tolerate_all(found)) == (True, not expected)


def test_zero_is_any_age():
    assert reasons(UsabilityLimits(), moment=FRIDAY + 4000 * DAY) == ()


@settings(deadline=None)
@given(
    st.integers(0, 30 * 24 * 60),
    st.integers(0, 30 * 24 * 60),
)
def test_weekday_time_is_what_counting_minutes_gives(first, length):
    start = FRIDAY + timedelta(minutes=first)
    hours = length // 60
    counted = sum((start + n * HOUR).weekday() < 5 for n in range(hours))
    aligned = start.replace(minute=0)
    expected = sum((aligned + n * HOUR).weekday() < 5 for n in range(hours))
    assert weekday_duration(aligned, aligned + hours * HOUR) == expected * HOUR
    assert abs(counted - expected) <= 2
    assert weekday_duration(start, start - HOUR) == timedelta()


@pytest.mark.parametrize(("hours", "old"), [(1, False), (3, True)])
def test_a_bar_that_is_stale_by_a_calendar_can_be_refused(hours, old):
    limits = UsabilityLimits(max_bar_age_bars=72, refuse_stale_bars=True)
    moment, facts = FRIDAY + HOUR + hours * HOUR, {"interval": "1h", "trained_at": FRIDAY}
    facts |= {"bar_timestamp": FRIDAY, "features": WHOLE, "moment": moment}
    age = BarAge(FRIDAY, HOUR, moment, BarCadence(calendar("24/7"), HOUR))
    found = limits.reasons(**facts, age=age)
    assert found == (("bar_too_old",) if old else ())
    assert limits.reasons(**facts) == ()
    assert replace(limits, refuse_stale_bars=False).reasons(**facts, age=age) == ()


def test_round_the_clock_a_weekend_makes_a_bar_old():
    limits, expected = UsabilityLimits(max_bar_age_bars=2), BarCadence(calendar("24/7"), DAY)
    facts = {"bar_timestamp": FRIDAY, "interval": "1d", "trained_at": FRIDAY, "features": WHOLE}
    moments = (FRIDAY + 3 * DAY, FRIDAY + 3 * DAY + HOUR)
    found = [
        limits.reasons(**facts, moment=moment, age=BarAge(FRIDAY, DAY, moment, expected))
        for moment in moments
    ]
    assert found == [(), ("bar_too_old",)]


def test_a_model_is_ageing_in_the_last_third_of_its_days():
    created = datetime(2026, 1, 1, tzinfo=UTC)
    age = ModelAge(created, 30)
    assert age.ageing_from == created + timedelta(days=20)
    assert age.too_old_from == created + timedelta(days=30)
    moments = [created + timedelta(days=days) for days in (19, 20, 30, 31)]
    assert [age.is_ageing(moment) for moment in moments] == [False, True, True, True]
    assert [age.is_too_old(moment) for moment in moments] == [False, False, False, True]
    endless = ModelAge(created, 0)
    assert (endless.ageing_from, endless.too_old_from) == (None, None)
    assert not endless.is_ageing(moments[-1])
