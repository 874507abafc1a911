"""A prediction as it is answered and audited, and what a model's raw output means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

from mlengine.core.frozen import frozen_by_types
from mlengine.core.line_names import MODEL_LINE, version_key

if TYPE_CHECKING:  # the web's schemas must not cost the import of Polars
    from mlengine.core.features import FeatureSet


@dataclass(frozen=True)
class FeatureSetRef:
    """Which feature set a row was computed with."""

    name: str
    version: int
    hash: str
    window_bars: int

    @classmethod
    def of(cls, feature_set: FeatureSet) -> FeatureSetRef:
        """The reference to a feature set that is at hand."""
        return cls(feature_set.name, feature_set.version, feature_set.hash, feature_set.window_bars)


@frozen_by_types
@dataclass(frozen=True)
class Latency:
    """Milliseconds spent on each stage; None for a stage that was not reached."""

    bars: float | None
    features: float | None
    model: float | None
    total: float


@dataclass(frozen=True)
class Contribution:
    """How far one feature moved the raw score; `value` is None where the feature was null."""

    feature: str
    value: float | None
    contribution: float


@frozen_by_types
@dataclass(frozen=True)
class Forecast:
    """What a score forecasts: see `forecast_from_score`."""

    probability_up: float | None
    expected_return: float | None
    prediction: str
    confidence: float | None
    expected_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answered prediction: the fields of `/predict`.

    `model_verdict` is what the model's training said of its skill: `edge`, `no_edge` or `worse`.
    `degraded` says that the active version was refused, or that the upstream can't be reached: then
    `bars_age_seconds` is since when. The last three are given when they were asked for:
    `base_value`, the model's mean output, and all contributions add up to `raw_score`, the output
    before its link function.
    """

    prediction_id: str
    request_id: str
    symbol: str
    interval: str
    as_of: datetime
    bar_timestamp: datetime
    horizon_bars: int
    objective: str
    probability_up: float | None
    expected_return: float | None
    expected_score: float | None = None
    prediction: str
    confidence: float | None
    usable: bool = True
    reasons: tuple[str, ...] = ()
    model: str = MODEL_LINE
    model_version: str
    model_fingerprint: str
    model_verdict: str | None = None
    feature_set: FeatureSetRef
    bars_hash: str
    trained_through: datetime
    in_sample: bool
    known_symbol: bool
    base_rate: float | None
    stale: bool
    degraded: bool
    point_in_time: str = "recorded"
    bars_age_seconds: float | None = None
    latency_ms: Latency
    raw_score: float | None = None
    base_value: float | None = None
    contributions: tuple[Contribution, ...] | None = None

    @property
    def model_key(self) -> str:
        """The key of its version among those of all lines."""
        return version_key(self.model, self.model_version)

    def with_changes(self, changes: Mapping[str, object]) -> Prediction:
        """As `dataclasses.replace`, at a third of its cost; raises TypeError on another name."""
        if not _FIELDS.issuperset(changes):
            raise TypeError(f"not fields of a prediction: {sorted(changes.keys() - _FIELDS)}")
        changed = object.__new__(Prediction)
        values = vars(changed)
        values.update(vars(self))
        values.update(changes)
        return changed


_FIELDS = frozenset(field.name for field in fields(Prediction))


@dataclass(frozen=True, kw_only=True)
class FailedPrediction:
    """A prediction that was asked for and could not be answered; `error_code` says why."""

    prediction_id: str
    request_id: str
    symbol: str
    as_of: datetime
    model: str = MODEL_LINE
    model_version: str | None
    error_code: str
    detail: str
    latency_ms: Latency

    @property
    def model_key(self) -> str | None:
        """As that of a prediction; without a version, only what says the line."""
        return version_key(self.model, self.model_version or "") or None


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """One row of the audit as it is read back; a failure has no more than its first fields.

    Contributions are not kept: the model and the vector give them again.
    """

    prediction_id: str
    request_id: str
    at: datetime
    route: str
    ok: bool
    error_code: str | None
    error_detail: str | None
    symbol: str
    as_of: datetime
    model_version: str | None
    latency_ms: Latency
    interval: str | None
    bar_timestamp: datetime | None
    horizon_bars: int | None
    objective: str | None
    probability_up: float | None
    expected_return: float | None
    prediction: str | None
    confidence: float | None
    model_fingerprint: str | None
    feature_set: FeatureSetRef | None
    bars_hash: str | None
    trained_through: datetime | None
    in_sample: bool | None
    known_symbol: bool | None
    base_rate: float | None
    stale: bool | None
    degraded: bool | None
    expected_score: float | None = None
    usable: bool | None = None
    reasons: tuple[str, ...] | None = None
    point_in_time: str | None = None
    bars_age_seconds: float | None = None
    trace_id: str | None = None
    model: str = MODEL_LINE

    @property
    def score(self) -> float | None:
        """The model's number, whichever its objective."""
        scores = (self.probability_up, self.expected_return, self.expected_score)
        return next((score for score in scores if score is not None), None)


def forecast_from_score(score: float, objective: str, transform: str = "raw") -> Forecast:
    """The forecast behind a model's output, by its objective and the transform of its label.

    `direction`: `score` is the probability of a rise; up from 0.5 on, and `confidence` =
    |2p - 1| is a distance from a coin flip, not a chance of being right. `return`: `score` is a
    simple return over the horizon; up when it is above zero, and there is no confidence. With the
    label `cs_zscore` it is no return but a score among the symbols of the date: `expected_score`,
    up when the symbol is to do better than their mean.
    A negative zero becomes zero. Raises ValueError on a number that is not finite, on a
    probability outside [0, 1] and on an unknown objective.
    """
    if not math.isfinite(score):
        raise ValueError(f"a score of {score} means nothing")
    score += 0.0
    if objective == "return":
        direction = "up" if score > 0.0 else "down"
        if transform == "cs_zscore":
            return Forecast(None, None, direction, None, expected_score=score)
        return Forecast(None, score, direction, None)
    if objective != "direction":
        raise ValueError(f"there is no objective {objective!r}")
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"{score} is no probability")
    return Forecast(score, None, "up" if score >= 0.5 else "down", abs(2.0 * score - 1.0))
