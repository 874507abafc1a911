"""What the metrics of a model are made of: each beside its baseline, with an interval.

Intervals hold 95 %: a circular bootstrap over blocks of session dates with all their symbols.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlengine.core import serialization


@dataclass(frozen=True)
class MetricEstimate:
    """One metric of the model and, on the same rows, of its baselines; null if not defined.

    `low` and `high` are its interval; `reason` says why `value`, or only the interval, is null.
    `improvement` is by how much a mean over rows is better than its `baseline`, positive where it
    is, with the interval of that paired difference: narrower than that of `value`, whose luck the
    baseline shares. Null for a metric whose baseline is a number that no rows give.
    """

    value: float | None
    baseline: float | None
    baseline_kind: str
    other_baselines: Mapping[str, float | None] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    improvement: float | None = field(default=None, metadata=serialization.OPTIONAL)
    improvement_low: float | None = field(default=None, metadata=serialization.OPTIONAL)
    improvement_high: float | None = field(default=None, metadata=serialization.OPTIONAL)


@dataclass(frozen=True)
class CalibrationBin:
    """The rows whose forecast lies in [low, high), the last bin's high included.

    Bins lie between the deciles of the forecasts; where these are equal a bin is empty.
    """

    low: float
    high: float
    rows: int
    mean_forecast: float | None
    up_share: float | None


@dataclass(frozen=True)
class Calibration:
    """logit(P(up)) = intercept + slope * logit(forecast); 0 and 1 are perfect (Cox 1958)."""

    slope: MetricEstimate
    intercept: MetricEstimate
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class SignRule:
    """Holding the sign of each forecast with 1/h of the capital a bar; shown, never judged.

    `bars` counts dates; `net_low` and `net_high` are the interval of `net_return`.

    Returns and turnover are means a bar of an equal weight a symbol; `buy_and_hold` is the return
    a bar of holding every symbol throughout on the same dates, without costs.
    """

    bars: int
    cost_bps: float
    gross_return: float | None
    turnover: float | None
    net_return: float | None
    net_low: float | None
    net_high: float | None
    buy_and_hold: float | None


@dataclass(frozen=True)
class Bootstrap:
    block_dates: int
    draws: int
    seed: int
    level: float


@dataclass(frozen=True)
class Verdict:
    """`edge`, `no_edge` or `worse`, by where the interval of the one primary metric lies.

    `recipes` counts those that were judged on some of the same dates, this one included; `level` is
    that of the interval, which is the wider the more recipes were tried.
    """

    verdict: str
    metric: str
    value: float | None
    null: float
    low: float | None
    high: float | None
    level: float = field(default=0.95, metadata=serialization.OPTIONAL)
    recipes: int = field(default=1, metadata=serialization.OPTIONAL)


@dataclass(frozen=True)
class Evaluation:
    """Everything that is said of one model on rows that it was not fitted on."""

    rows: int
    dates: int
    symbols: int
    metrics: Mapping[str, MetricEstimate]
    calibration: Calibration | None
    sign_rule: SignRule
    bootstrap: Bootstrap
    verdict: Verdict
