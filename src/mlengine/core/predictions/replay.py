"""A prediction that was made again, beside the one that was audited."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.predictions.prediction import AuditRow

STATUSES = (
    "identical",
    "features",
    "score",
    "model_gone",
    "feature_set_gone",
    "not_replayable",
)
DIFFERENT = frozenset({"features", "score"})


@dataclass(frozen=True)
class ReplayResult:
    """What came of making a prediction again from its stored window of bars.

    `status` is `identical`; `features` when the vector differs, which `differing_features` names;
    `score` when only the score does; `model_gone` or `feature_set_gone` when what it was made with
    is no longer there; `not_replayable` for a failure, or where no window is stored; `reason` says
    more of the last three. `upstream` is about the same bars as they are served today: `same`,
    `changed`, `unavailable` or `not_checked`.
    """

    prediction_id: str
    symbol: str
    bar_timestamp: datetime | None
    model_version: str | None
    status: str
    recorded_score: float | None = None
    replayed_score: float | None = None
    differing_features: tuple[str, ...] = ()
    reason: str | None = None
    upstream: str = "not_checked"


@dataclass(frozen=True)
class ReplaySummary:
    """`counts` has every status, `upstream` every answer; `others` is what was not identical."""

    replayed: int
    counts: dict[str, int]
    upstream: dict[str, int]
    others: tuple[ReplayResult, ...] = ()

    @property
    def reproducible(self) -> bool:
        """Whether nothing that could be made again came out differently."""
        return not any(self.counts[status] for status in DIFFERENT)


def not_replayed(row: AuditRow, status: str, reason: str | None) -> ReplayResult:
    """The result for a prediction that can't be made again."""
    return ReplayResult(
        row.prediction_id,
        row.symbol,
        row.bar_timestamp,
        row.model_version,
        status,
        recorded_score=row.score,
        reason=reason,
    )


def compare_replay(
    row: AuditRow, *, names: Sequence[str], recorded: Floats, replayed: Floats, score: float
) -> ReplayResult:
    """The audited vector and score against those made again, shapes (features,), bit for bit."""
    differing = bitwise_differences(names, recorded, replayed)
    of_score = "identical" if score == row.score else "score"
    result = not_replayed(row, "features" if differing else of_score, None)
    return replace(result, replayed_score=score, differing_features=differing)


def bitwise_differences(names: Sequence[str], one: Floats, other: Floats) -> tuple[str, ...]:
    """The names whose numbers are not the same bits; every NaN is the same."""
    if len(one) != len(other):
        return tuple(names)
    same = (one.view(np.uint64) == other.view(np.uint64)) | (np.isnan(one) & np.isnan(other))
    return tuple(name for name, equal in zip(names, same.tolist(), strict=True) if not equal)


def summarise(replays: Sequence[ReplayResult], *, most_others: int) -> ReplaySummary:
    """Counts, and at most `most_others` of those that were not identical."""
    counts = dict.fromkeys(STATUSES, 0)
    upstream = dict.fromkeys(("same", "changed", "unavailable", "not_checked"), 0)
    for each in replays:
        counts[each.status] += 1
        upstream[each.upstream] += 1
    others = [each for each in replays if each.status != "identical" or each.upstream == "changed"]
    return ReplaySummary(len(replays), counts, upstream, tuple(others[:most_others]))
