"""The settings of trainings: what one does that is asked for nothing else, when and where."""

from dataclasses import dataclass
from typing import TypedDict

from mlengine.config import addresses
from mlengine.config.env_reader import EnvReader
from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.core.runs import cron
from mlengine.core.training import bounds
from mlengine.core.training.params import NEEDS_CLUSTER, invalid_label_reason
from mlengine.core.training.spec import (
    ACTIVATIONS,
    DASK,
    ENGINES,
    LABELS,
    LIGHTGBM,
    OBJECTIVES,
    REFITS,
    TrainSpec,
)
from mlengine.errors import BadSetting


def schedule(read: EnvReader) -> str | None:
    """A cron expression; raises BadSetting."""
    text = read.optional("TRAIN_SCHEDULE")
    if text is None:
        return None
    try:
        return cron.parse_cron(text)
    except ValueError:
        raise BadSetting("TRAIN_SCHEDULE", text, cron.EXPECTED) from None


class ScheduleSettings(TypedDict):
    """When trainings begin by themselves, and the policy of those."""

    train_schedule: str | None
    train_schedule_activate: str
    train_first: bool


def schedule_settings(read: EnvReader) -> ScheduleSettings:
    """Raises BadSetting."""
    return ScheduleSettings(
        train_schedule=schedule(read),
        train_schedule_activate=read.choice("TRAIN_SCHEDULE_ACTIVATE", "if_not_worse", ACTIVATIONS),
        train_first=read.boolean("TRAIN_FIRST", default=False),
    )


@dataclass(frozen=True)
class FanOutSettings:
    """How many workers share one training at most, 0 as many as there are."""

    shares_folds: bool
    workers: int


class TrainingLimits(TypedDict):
    """What one training may take."""

    train_timeout_seconds: int
    train_memory_mb: int
    fan_out: FanOutSettings
    dask_scheduler_address: str | None


def limits(read: EnvReader) -> TrainingLimits:
    """Raises BadSetting."""
    return TrainingLimits(
        train_timeout_seconds=read.integer("TRAIN_TIMEOUT_SECONDS", 21_600, 1, 604_800),
        train_memory_mb=read.integer("TRAIN_MEMORY_MB", 1_024, 0, 10_000_000),
        fan_out=FanOutSettings(
            read.choice("TRAIN_FANOUT", "none", ("none", "folds")) == "folds",
            read.integer("TRAIN_WORKERS", 0, 0, 1_000),
        ),
        dask_scheduler_address=addresses.dask_scheduler(read),
    )


def train_spec(read: EnvReader, interval: str) -> TrainSpec:
    """What the variables TRAIN_… say; raises BadSetting."""
    universe = read.path("TRAIN_UNIVERSE_FILE")
    spec = TrainSpec(
        symbols=_symbols(read),
        min_symbols=read.integer("TRAIN_MIN_SYMBOLS", 1, *bounds.MIN_SYMBOLS),
        lookback=read.integer("TRAIN_LOOKBACK", 2520, *bounds.LOOKBACK),
        test_size=read.number("TRAIN_TEST_SIZE", 0.2, *bounds.TEST_SIZE),
        seed=read.integer("TRAIN_RANDOM_STATE", 42, *bounds.SEED),
        folds=read.integer("TRAIN_CV_FOLDS", 5, *bounds.FOLDS),
        train_window=read.integer("TRAIN_WINDOW", 0, *bounds.TRAIN_WINDOW),
        horizon_bars=read.integer("TRAIN_HORIZON", 5, *bounds.HORIZON_BARS),
        embargo_bars=read.integer("TRAIN_EMBARGO", 0, *bounds.EMBARGO_BARS),
        objective=read.choice("TRAIN_OBJECTIVE", "direction", OBJECTIVES),
        label=read.choice("TRAIN_LABEL", "raw", LABELS),
        feature_set=read.text("TRAIN_FEATURE_SET", "core"),
        rounds=read.integer("TRAIN_ROUNDS", 300, *bounds.ROUNDS),
        activate=read.choice("TRAIN_ACTIVATE", "if_better", ACTIVATIONS),
        gate_min_dates=read.integer("TRAIN_GATE_MIN_DATES", 250, *bounds.GATE_MIN_DATES),
        gate_margin=read.number("TRAIN_GATE_MARGIN", 0.001, *bounds.GATE_MARGIN),
        refit=read.choice("TRAIN_REFIT", "none", REFITS),
        cost_bps=read.number("TRAIN_COST_BPS", 5.0, *bounds.COST_BPS),
        label_delay_bars=read.integer("TRAIN_LABEL_DELAY", 0, *bounds.LABEL_DELAY_BARS),
        interval=interval,
        engine=read.choice("TRAIN_ENGINE", LIGHTGBM, ENGINES),
        universe_file=str(universe) if universe else None,
    )
    refusal = invalid_label_reason(spec)
    if refusal:
        raise BadSetting("TRAIN_LABEL", spec.label, f"raw: {refusal}")
    if spec.engine == DASK and addresses.dask_scheduler(read) is None:
        raise BadSetting("TRAIN_ENGINE", DASK, f"{LIGHTGBM}: {DASK} {NEEDS_CLUSTER}")
    return spec


def _symbols(read: EnvReader) -> tuple[str, ...]:
    symbols = read.comma_list("TRAIN_SYMBOLS", "AAPL,GOOG,IBM,MSFT")
    for symbol in symbols:
        if not is_symbol(symbol):
            raise BadSetting("TRAIN_SYMBOLS", symbol, f"by comma, each {SYMBOL_RULE}")
    return tuple(dict.fromkeys(symbols))
