"""When a prediction should not be acted on, by profile."""

from dataclasses import dataclass
from datetime import timedelta

from mlengine.config.env_reader import EnvReader
from mlengine.core.bars.intervals import INTERVALS


@dataclass(frozen=True)
class UsabilitySettings:
    """What is tolerated; 0 is any age."""

    max_bar_age_bars: int
    max_model_age_days: int
    all_features: bool
    refuse_suspect_bars: bool
    refuse_stale_bars: bool
    novel_row_level: float


def usability(read: EnvReader, interval: str, *, production: bool) -> UsabilitySettings:
    """Strict in production, and tolerant elsewhere; raises BadSetting."""
    bar_age = _bars_in_three_days(interval) if production else 0
    model_age = 30 if production else 0
    return UsabilitySettings(
        max_bar_age_bars=read.integer("MAX_BAR_AGE_BARS", bar_age, 0, 1_000_000),
        max_model_age_days=read.integer("MAX_MODEL_AGE_DAYS", model_age, 0, 36_500),
        all_features=read.boolean("REQUIRE_ALL_FEATURES", production),
        refuse_suspect_bars=read.boolean("REFUSE_SUSPECT_BARS", production),
        novel_row_level=read.number("NOVEL_ROW_LEVEL", 0.0, 0.0, 0.05),
        refuse_stale_bars=production and not read.is_set("MAX_BAR_AGE_BARS"),
    )


def _bars_in_three_days(interval: str) -> int:
    """Three at least, for the intervals of a day and more."""
    return max(3, timedelta(days=3) // INTERVALS[interval])
