"""The codes of problems that come together, for the contracts of views."""

UPSTREAM = ("unknown_symbol", "upstream_invalid", "upstream_unavailable")
BARS = (*UPSTREAM, "insufficient_bars")
CHANGED_MODEL = (
    "artifact_corrupt",
    "feature_set_mismatch",
    "interval_mismatch",
    "artifacts_unavailable",
)
SERVED_MODEL = ("no_active_model", "artifact_corrupt", "feature_set_mismatch", "interval_mismatch")
STARTED_RUN = ("training_in_progress", "queue_unavailable")
SERVING_LINE = ("line_retired",)
AUDIT = ("audit_unavailable",)
