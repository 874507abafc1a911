"""Whether a prediction should be acted on: how old its bar and its model are, what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.intervals import INTERVALS, final_at
from mlengine.core.bars.quality import SUSPECT_REASONS

BAR_TOO_OLD, MODEL_TOO_OLD, NULL_FEATURES = "bar_too_old", "model_too_old", "null_features"

_DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True)
class UsabilityLimits:
    """What is tolerated; 0 is any age, and without `all_features` any number of nulls."""

    max_bar_age_bars: int = 0
    max_model_age_days: int = 0
    all_features: bool = False
    refuse_suspect_bars: bool = False

    def allow(self, reasons: Sequence[str]) -> bool:
        """Whether a prediction may be acted on for all these reasons."""
        suspect_only = SUSPECT_REASONS.issuperset(reasons)
        return not reasons or (suspect_only and not self.refuse_suspect_bars)

    def reasons(
        self,
        *,
        bar_timestamp: datetime,
        interval: str,
        trained_at: datetime,
        features: Floats,
        moment: datetime,
        suspect_reasons: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        """Why a prediction of `moment` should not be acted on; empty when it may be.

        `suspect_reasons` of its bars are among them, whether or not `allow` minds them. A bar's age
        counts from the moment at which it was final, Saturdays and Sundays (UTC) left out.
        `features` are float64, (features,), NaN where null.
        """
        reasons = []
        if self.max_bar_age_bars:
            age = weekday_duration(final_at(bar_timestamp, interval), moment)
            if age > self.max_bar_age_bars * INTERVALS[interval]:
                reasons.append(BAR_TOO_OLD)
        if self.max_model_age_days and moment - trained_at > self.max_model_age_days * _DAY:
            reasons.append(MODEL_TOO_OLD)
        if self.all_features and np.isnan(features).any():
            reasons.append(NULL_FEATURES)
        return (*reasons, *suspect_reasons)


def weekday_duration(start: datetime, end: datetime) -> timedelta:
    """The time between two moments in UTC that lies on Monday to Friday; negative never."""
    return max(_weekdays_until(end) - _weekdays_until(start), timedelta())


def _weekdays_until(moment: datetime) -> timedelta:
    """Weekday time since the Monday of week 1."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    weeks, day = divmod(moment.toordinal() - 1, 7)  # 0001-01-01 was a Monday
    part = _DAY * _SATURDAY if day >= _SATURDAY else day * _DAY + (moment - midnight)
    return weeks * _SATURDAY * _DAY + part
