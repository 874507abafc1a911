"""What is told of live performance."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mlengine.core.evaluation import Bootstrap, Calibration, MetricEstimate, SignRule, Verdict
from mlengine.core.monitoring.skill.report import Skill
from mlengine.core.outcomes.performance import BarFigures, PartFigures

# How many of the newest dates with outcomes figures are of.
WINDOWS: Final = (20, 60, 250, 1000)
DEFAULT_WINDOW = 250
OK, INSUFFICIENT_DATA = "ok", "insufficient_data"


@dataclass(frozen=True)
class DecidedCounts:
    """Outcomes of the window's bars; `late` answers came too late to count."""

    scored: int
    void: int
    late: int
    void_reasons: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class PerformanceReport:
    """Figures of the scored outcomes of a window, as they were at `computed_at`.

    `status` is `insufficient_data` without any. `verdict` is None before its metric has an
    interval. `by_bar` has the newest 250 bars.
    """

    status: str
    computed_at: datetime
    first_bar: datetime | None
    last_bar: datetime | None
    rows: int
    dates: int
    symbols: int
    metrics: Mapping[str, MetricEstimate]
    calibration: Calibration | None
    sign_rule: SignRule | None
    bootstrap: Bootstrap | None
    verdict: Verdict | None
    by_symbol: tuple[PartFigures, ...]
    by_group: tuple[PartFigures, ...]
    by_bar: tuple[BarFigures, ...]
    decided: DecidedCounts


@dataclass(frozen=True)
class Coverage:
    """`due` predictions are `scored`, `void` or `pending`, which wait for late bars.

    The outcome of those `not_due` is not known yet; `late` answers came too late to count.
    """

    due: int
    scored: int
    void: int
    pending: int
    not_due: int
    late: int
    void_reasons: Mapping[str, int]


@dataclass(frozen=True)
class TrainedFigures:
    """What the training said, on its holdout."""

    metrics: Mapping[str, MetricEstimate]
    verdict: Verdict
    holdout_start: datetime
    holdout_end: datetime
    base_rate: float


@dataclass(frozen=True, kw_only=True)
class Performance:
    """The answer: live figures of a version beside those of its training, and its skill."""

    model_version: str
    objective: str
    horizon_bars: int
    window: int
    symbol: str | None
    group: str | None
    status: str
    computed_at: datetime
    coverage: Coverage
    first_bar: datetime | None
    last_bar: datetime | None
    rows: int
    dates: int
    symbols: int
    metrics: Mapping[str, MetricEstimate]
    calibration: Calibration | None
    sign_rule: SignRule | None
    bootstrap: Bootstrap | None
    verdict: Verdict | None
    training: TrainedFigures
    skill: Skill
    by_symbol: tuple[PartFigures, ...]
    by_group: tuple[PartFigures, ...]
    by_bar: tuple[BarFigures, ...]
