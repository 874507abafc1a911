"""Whether a prediction should be acted on: how old its bar and its model are, what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.quality import SUSPECT_REASONS
from mlengine.core.calendars.age import BarAge

BAR_TOO_OLD, MODEL_TOO_OLD, NULL_FEATURES = "bar_too_old", "model_too_old", "null_features"
NOVEL_ROW = "novel_row"
DELISTED = "delisted"
_OF_BARS = SUSPECT_REASONS | {DELISTED}

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class ModelAge:
    """How long a model of `created_at` may serve; `max_days` 0 is for ever.

    In the last third of its days it is ageing: time for a successor.
    """

    created_at: datetime
    max_days: int

    @property
    def ageing_from(self) -> datetime | None:
        """When two thirds of its days are over."""
        return self.created_at + self.max_days * _DAY * 2 / 3 if self.max_days else None

    @property
    def too_old_from(self) -> datetime | None:
        """After this moment its predictions are not usable."""
        return self.created_at + self.max_days * _DAY if self.max_days else None

    def is_ageing(self, moment: datetime) -> bool:
        """Whether it is in its last third, or past its days."""
        return self.ageing_from is not None and moment >= self.ageing_from

    def is_too_old(self, moment: datetime) -> bool:
        return self.too_old_from is not None and moment > self.too_old_from


@dataclass(frozen=True)
class UsabilityLimits:
    """What is tolerated; 0 is any age, and without `all_features` any number of nulls.

    `novel_row_level` is the share of training rows that would be refused as unlike the others.
    With `refuse_stale_bars` a bar is too old, too, once it is stale by a calendar.
    """

    max_bar_age_bars: int = 0
    max_model_age_days: int = 0
    all_features: bool = False
    refuse_suspect_bars: bool = False
    refuse_stale_bars: bool = False
    novel_row_level: float = 0.0

    def tolerate_all(self, reasons: Sequence[str]) -> bool:
        """Whether a prediction may be acted on in spite of all these reasons."""
        of_bars_only = _OF_BARS.issuperset(reasons)
        return not reasons or (of_bars_only and not self.refuse_suspect_bars)

    def reasons(
        self,
        *,
        bar_timestamp: datetime,
        interval: str,
        trained_at: datetime,
        features: Floats,
        moment: datetime,
        age: BarAge | None = None,
        suspect_reasons: tuple[str, ...] = (),
        is_novel: bool = False,
    ) -> tuple[str, ...]:
        """Why a prediction of `moment` should not be acted on; empty when it may be.

        `suspect_reasons` of its bars, and that its symbol is delisted, are among them, whether or
        not `tolerate_all` minds them. The `age` of its bar is by default the one on weekdays.
        `features` are float64, (features,), NaN where null.
        """
        reasons = []
        age = age or BarAge(bar_timestamp, INTERVALS[interval], moment)
        is_stale = self.refuse_stale_bars and age.cadence is not None and age.is_stale
        if is_stale or (self.max_bar_age_bars and age.exceeds(self.max_bar_age_bars)):
            reasons.append(BAR_TOO_OLD)
        if age.is_delisted:
            reasons.append(DELISTED)
        if ModelAge(trained_at, self.max_model_age_days).is_too_old(moment):
            reasons.append(MODEL_TOO_OLD)
        if self.all_features and np.isnan(features).any():
            reasons.append(NULL_FEATURES)
        if is_novel:
            reasons.append(NOVEL_ROW)
        return (*reasons, *suspect_reasons)
