"""Checks of what predictions are made from: bars, feature sets and the active model."""

from datetime import UTC, datetime
from pathlib import Path

from mlengine.bootstrap.feature_sets import load_feature_sets
from mlengine.bootstrap.registry import open_registry
from mlengine.bootstrap.stores import open_upstream
from mlengine.config import Settings
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.age import BarAge
from mlengine.core.calendars.inference import infer_cadence
from mlengine.core.timestamps import rfc3339
from mlengine.errors import UpstreamInvalid
from mlengine.services.diagnosis.checks import Finding
from mlengine.stores.bars.universe import read_universe
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.system.dependency_states import DependencyStates

_BARS = 64


def check_upstream(settings: Settings, *, seconds: float) -> Finding:
    """It has bars of the first symbol to train on; raises what `BarFetcher.fetch` raises."""
    upstream = open_upstream(settings, DependencyStates())
    symbol = upstream.markets.canonical((*settings.train.symbols, "AAPL")[0])
    now, deadline = datetime.now(UTC), Deadline.after(seconds)
    clean = upstream.fetch(symbol, bars=_BARS, as_of=None, now=now, deadline=deadline).clean
    count = min(clean.arrays.rows, _BARS)
    if not count:
        raise UpstreamInvalid(f"it has no final bars of {symbol}")
    newest, kind = clean.arrays.last_timestamp, settings.market_data_kind
    detail = f"{count} bars of {symbol} ({kind}), the newest of {rfc3339(newest)}"
    if clean.report.faulty:
        return Finding("warning", f"{detail}; {clean.report.faulty} others were refused")
    market = upstream.markets.market(symbol)
    width = INTERVALS[upstream.interval]
    cadence = infer_cadence(clean.arrays.starts, width, named=market.calendar)
    age = BarAge(newest, width, now, cadence, market.ends_at)
    if age.is_delisted:
        return Finding("warning", f"{detail}, which is delisted since {market.last}")
    if kind != "sample" and age.is_stale:
        return Finding("warning", f"{detail}, which is stale")
    return Finding("ok", detail)


def check_universe(settings: Settings) -> Finding:
    """Its file can be read; raises TrainingFailed, which names the line."""
    path = settings.train.universe_file
    if path is None:
        return Finding("ok", "none is set, so every symbol is a member")
    members = read_universe(Path(path)).members
    return Finding("ok", f"{members['symbol'].n_unique()} symbols in {path}")


def check_feature_sets(settings: Settings) -> Finding:
    """Each can be imported, and there is the one to train with; raises BadSetting."""
    sets = load_feature_sets(settings.feature_sets, wanted=settings.train.feature_set)
    return Finding("ok", f"{', '.join(sorted(sets))}; trainings take {settings.train.feature_set}")


def check_model(settings: Settings) -> Finding:
    """The active version is whole and goes with the settings; raises why it can't serve."""
    registry = open_registry(settings)
    registry.refresh()
    active = registry.active.read()
    if active is None:
        return Finding("warning", "no version is active: `mlengine train`, or activate one")
    sets = load_feature_sets(settings.feature_sets, wanted=settings.train.feature_set)
    loader = ModelLoader(
        registry, sets, interval=settings.market_data_interval, states=DependencyStates()
    )
    data = loader.load(active.version).manifest.data
    lead = (max(active.activated_at, data.end) - datetime.now(UTC)).total_seconds()
    detail = f"{active.version} is whole and goes with the settings, its bars end"
    return Finding("ok", f"{detail} {rfc3339(data.end)}", lead if lead > 0 else None)
