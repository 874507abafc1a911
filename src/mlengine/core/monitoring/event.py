"""What happened to the platform: the rows behind `/monitoring/history`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from mlengine.core.line_names import MODEL_LINE

EventKind: TypeAlias = Literal[
    "trained",
    "train_failed",
    "train_lost",
    "train_cancelled",
    "train_skipped",
    "train_requested",
    "schedule_set",
    "activation_requested",
    "activated",
    "rolled_back",
    "reloaded",
    "pruned",
    "pinned",
    "unpinned",
    "drift_checked",
    "drift_alarm",
    "audit_cleared",
    "audit_pruned",
    "audit_archived",
    "replayed",
    "admin_action",
    "bars_revised",
    "feed_stale",
    "feed_fresh",
    "model_ageing",
    "hook_changed",
    "hook_disabled",
    "line_created",
    "line_changed",
    "line_retired",
    "skill_lost",
    "skill_proven",
]
EVENT_KINDS: tuple[str, ...] = get_args(EventKind)

# Who a `drift_alarm` is `by`, where no distribution moved.
FROZEN_FEATURE = "frozen_feature"

# The events of the states in which a training ends without a version.
ENDINGS: Mapping[str, EventKind] = {
    "failed": "train_failed",
    "lost": "train_lost",
    "cancelled": "train_cancelled",
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of the line `model`; `generation` is set where it changed which model is active.

    What concerns no line, or all of them, is of `main`.
    """

    kind: EventKind
    at: datetime
    version: str | None
    actor: str | None
    details: Mapping[str, object]
    generation: int | None = None
    model: str = MODEL_LINE
