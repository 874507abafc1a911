"""Every metric of `/metrics`: its name, its kind, its labels, and what it says.

Labels are bounded: routes are templates, versions those that served, and symbols never appear.
`model` is a model line; a version of another one than `main` has it before it, as in `slow/v3`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

PREFIX = "mlengine_"
MODEL = "model"

# The bounds of histograms: each is the end of a bucket of the sketches that they are made of.
BOUNDS_MS: tuple[float, ...] = tuple(0.001 * 2.0**doublings for doublings in range(7, 26, 2))

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Family:
    """`name` is without PREFIX; that of a counter ends in `_total`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


@dataclass(frozen=True)
class Sample:
    """`value` of one set of labels; of a histogram it is the sum in seconds.

    `counts` are those of a histogram below each of BOUNDS_MS, and of all.
    """

    labels: tuple[str, ...]
    value: float
    counts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Samples:
    """All values of one family."""

    family: Family
    samples: Sequence[Sample]


# Counted by each process of a machine as it works.
HTTP_REQUESTS = Family(
    "http_requests_total", "counter", "Requests answered.", ("route", "method", "status")
)
HTTP_DURATION = Family(
    "http_request_duration_seconds",
    "histogram",
    "From a request that is read to its answer that is ready, waiting for a thread included.",
    ("route", "method"),
)
PREDICTIONS = Family(
    "predictions_total",
    "counter",
    "Predictions audited, by version; `status` is ok or the code of the error.",
    ("version", "status", MODEL),
)
PREDICTION_STAGES = Family(
    "prediction_stage_duration_seconds",
    "histogram",
    "Of a request for predictions: until it had its bars, its features, the model's scores.",
    ("route", "stage"),
)
UPSTREAM_CALLS = Family(
    "upstream_calls_total", "counter", "Questions for the bars of a symbol to the upstream."
)
UPSTREAM_FAILURES = Family(
    "upstream_failures_total",
    "counter",
    "Those that failed: `unavailable`, or answered with what can't be used: `invalid`.",
    ("reason",),
)
CACHE_LOOKUPS = Family(
    "feature_cache_lookups_total",
    "counter",
    "Feature vectors that were in memory (`hit`) or had to be computed (`miss`).",
    ("result",),
)
CACHE_EVICTIONS = Family(
    "cache_evictions_total",
    "counter",
    "What made room in memory for more than BARS_CACHE_SYMBOLS and BARS_CACHE_MB hold: `bars` of a"
    " symbol, `rows` of features.",
    ("cache",),
)
LIMITER_FALLBACKS = Family(
    "limiter_fallback_requests_total",
    "counter",
    "Requests that a web worker counted for itself, as the queue server did not answer.",
)
COUNTED: tuple[Family, ...] = (
    HTTP_REQUESTS,
    HTTP_DURATION,
    PREDICTIONS,
    PREDICTION_STAGES,
    UPSTREAM_CALLS,
    UPSTREAM_FAILURES,
    CACHE_LOOKUPS,
    CACHE_EVICTIONS,
    LIMITER_FALLBACKS,
)

# Read from the database, the registry and the disk when asked for; the same from each machine.
BUILD_INFO = Family(
    "build_info", "gauge", "1; the platform's version and Python's.", ("version", "python")
)
DATABASE_UP = Family("database_up", "gauge", "Whether the database answered just now.")
RUNS = Family("runs", "gauge", "Trainings in the records, by state.", ("state",))
QUEUE_DEPTH = Family("queue_depth", "gauge", "Trainings that wait for a worker.")
LEASE_LOSSES = Family(
    "lease_losses_total", "counter", "Trainings whose process lost its lease, or died."
)
WORKERS = Family("training_workers", "gauge", "Training workers that are alive.")
BAR_REVISIONS = Family(
    "bar_revisions_total", "counter", "Recorded bars that came with other values later."
)
BAR_AGE = Family(
    "bar_age_bars",
    "gauge",
    "The age of the newest bar in expected bars: of the oldest symbol that is asked for.",
)
SYMBOLS = Family(
    "symbols",
    "gauge",
    "Symbols predicted for the present: those with bars that are `fresh`, or `stale` when they were"
    " last asked for, and those that nobody has asked for since their bars were late (`unasked`).",
    ("state",),
)
LAST_PREDICTION_AGE = Family(
    "last_prediction_age_seconds", "gauge", "Since the last prediction that was answered."
)
MODEL_INFO = Family(
    "model_info", "gauge", "1; the version of `main` that this machine serves.", ("version",)
)
LINE_MODEL_INFO = Family(
    "line_model_info",
    "gauge",
    "1; the active version of each model line, as this machine has it.",
    ("version", MODEL),
)
MODEL_AGE = Family("model_age_seconds", "gauge", "Since the active version was trained.", (MODEL,))
SPOOL_FILES = Family("audit_spool_files", "gauge", "Files of audit rows that wait on disk.")
SPOOL_BYTES = Family("audit_spool_bytes", "gauge", "Their size.")
DRIFT_STATUS = Family(
    "drift_status",
    "gauge",
    "1 for the status of the newest 500 bars of the active version, 0 for the others.",
    ("status", MODEL),
)
DRIFT_E_VALUE = Family(
    "drift_e_value", "gauge", "The evidence of the drift alarm of the active version.", (MODEL,)
)
DRIFT_LEVEL = Family(
    "drift_alarm_level", "gauge", "What that evidence must pass to ring.", (MODEL,)
)
DRIFT_ALARMS = Family(
    "drift_alarms_total",
    "counter",
    "How often the drift alarm of the version rang, by its cause: `distribution`, or a"
    " `frozen_feature`.",
    ("version", "cause", MODEL),
)
FROZEN_FEATURES = Family(
    "frozen_features", "gauge", "Features of the active version that stand still.", (MODEL,)
)
SKILL_STATUS = Family(
    "skill_status",
    "gauge",
    "1 for what outcomes say of the skill of the active version, 0 for the others.",
    ("status", MODEL),
)
SKILL_DATES = Family("skill_dates", "gauge", "Dates with outcomes that this rests on.", (MODEL,))
SKILL_GAIN = Family(
    "skill_gain",
    "gauge",
    "Their mean gain: log-loss of the base rate less the model's, or correlation.",
    (MODEL,),
)
SKILL_E_VALUE = Family(
    "skill_e_value",
    "gauge",
    "The evidence that its skill is lost, and that it is proven.",
    ("claim", MODEL),
)
MONITORING_LAG = Family(
    "monitoring_lag_seconds",
    "gauge",
    "How long the oldest prediction, or a look that is due, has waited for the monitoring update.",
)
SIGNALS_OVERDUE = Family(
    "signals_overdue",
    "gauge",
    "Symbols that should have a signal by now, or one that their bar is missing.",
    (MODEL,),
)
READ: tuple[Family, ...] = (
    BUILD_INFO,
    DATABASE_UP,
    RUNS,
    QUEUE_DEPTH,
    LEASE_LOSSES,
    WORKERS,
    BAR_REVISIONS,
    BAR_AGE,
    SYMBOLS,
    LAST_PREDICTION_AGE,
    MODEL_INFO,
    LINE_MODEL_INFO,
    MODEL_AGE,
    SPOOL_FILES,
    SPOOL_BYTES,
    DRIFT_STATUS,
    DRIFT_E_VALUE,
    DRIFT_LEVEL,
    DRIFT_ALARMS,
    FROZEN_FEATURES,
    SKILL_STATUS,
    SKILL_DATES,
    SKILL_GAIN,
    SKILL_E_VALUE,
    MONITORING_LAG,
    SIGNALS_OVERDUE,
)

FAMILIES: tuple[Family, ...] = (*COUNTED, *READ)
