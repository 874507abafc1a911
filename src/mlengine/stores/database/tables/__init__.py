"""The tables, as the newest migration leaves them (a test compares the two)."""

from mlengine.stores.database.tables.audit import bar_windows, feature_vectors, predictions
from mlengine.stores.database.tables.bars import (
    action_series,
    bar_segments,
    bar_series,
    corporate_actions,
)
from mlengine.stores.database.tables.columns import (
    MICROSECOND,
    UtcDateTime,
    metadata,
    to_microseconds,
)
from mlengine.stores.database.tables.hooks import deliveries, hooks, outbox
from mlengine.stores.database.tables.lines import lines
from mlengine.stores.database.tables.monitoring import (
    drift_progress,
    drift_tallies,
    monitoring_positions,
    monitoring_updates,
    stale_feeds,
)
from mlengine.stores.database.tables.outcomes import (
    outcome_revisions,
    outcomes,
    performance_reports,
    skill_states,
)
from mlengine.stores.database.tables.platform import events, platform
from mlengine.stores.database.tables.runs import retrainings, runs, schedules, training_folds
from mlengine.stores.database.tables.signals import (
    signal_bars,
    signal_export_parts,
    signal_exports,
    signal_slices,
    signals,
)
from mlengine.stores.database.tables.telemetry import request_latencies

REVISION = "0024"

__all__ = [
    "MICROSECOND",
    "REVISION",
    "UtcDateTime",
    "action_series",
    "bar_segments",
    "bar_series",
    "bar_windows",
    "corporate_actions",
    "deliveries",
    "drift_progress",
    "drift_tallies",
    "events",
    "feature_vectors",
    "hooks",
    "lines",
    "metadata",
    "monitoring_positions",
    "monitoring_updates",
    "outbox",
    "outcome_revisions",
    "outcomes",
    "performance_reports",
    "platform",
    "predictions",
    "request_latencies",
    "retrainings",
    "runs",
    "schedules",
    "signal_bars",
    "signal_export_parts",
    "signal_exports",
    "signal_slices",
    "signals",
    "skill_states",
    "stale_feeds",
    "to_microseconds",
    "training_folds",
]
