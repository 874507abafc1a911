"""Checks of what predictions are made from: bars, feature sets and the active model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.bootstrap.feature_sets import load_feature_sets
from mlengine.bootstrap.registry import open_registry
from mlengine.bootstrap.stores import open_upstream
from mlengine.config import Settings
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.age import BarAge
from mlengine.core.calendars.inference import infer_cadence
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.lines.line import LineDefinition, ModelLine
from mlengine.core.timestamps import rfc3339
from mlengine.errors import (
    CannotStart,
    DatabaseUnavailable,
    RefusedLineFiles,
    TrainingFailed,
    UpstreamInvalid,
)
from mlengine.services.diagnosis.checks import Finding
from mlengine.stores.bars.universe import read_universe
from mlengine.stores.database.engine import is_missing
from mlengine.stores.lines.folder import LineFile
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


def check_files(settings: Settings) -> Finding:
    """Each file of the folder can be used, and some file has each symbol to train on."""
    upstream = open_upstream(settings, DependencyStates())
    symbols = upstream.source.symbols()
    wanted = dict.fromkeys(map(upstream.markets.canonical, settings.train.symbols))
    lacking = [symbol for symbol in wanted if symbol not in symbols]
    faults = [f"{file}: {reason}" for file, reason in upstream.source.refused_files()]
    if lacking:
        near = {name for each in lacking for name in get_close_matches(each, symbols, 2, 0.4)}
        there = f"; there are {', '.join(sorted(near))}" if near else ""
        faults.insert(0, f"none has {', '.join(lacking)} of TRAIN_SYMBOLS, skipped{there}")
    if faults:
        return Finding("warning", "; ".join(faults))
    return Finding("ok", f"they have {len(symbols)} symbols, those of TRAIN_SYMBOLS among them")


def check_universe(settings: Settings) -> Finding:
    """Its file can be read; raises TrainingFailed, which names the line."""
    path = settings.train.universe_file
    if path is None:
        return Finding("ok", "none is set, so every symbol is a member")
    members = read_universe(Path(path)).members
    return Finding("ok", f"{members['symbol'].n_unique()} symbols in {path}")


def check_lines(settings: Settings) -> Finding:
    """A start takes in the files of lines; what can't be trained any more is a warning."""
    control = _control(settings)
    if control is None:
        return _NO_DATABASE
    with _lines_and_files(control) as (known, files, unread):
        refused, doubtful = control.lines.refused_files(files, known)
        if unread or refused:
            raise RefusedLineFiles((*unread, *refused))
        of_files = {file.name: file.definition for file in files}
        others = {line.name: line.definition for line in known if not line.is_retired}
        lacking = [
            f"{name}: {field} {' '.join(texts)}"
            for name in others.keys() - of_files.keys()
            for field, texts in control.lines.refusals(name, others[name]).items()
        ]
    definitions = others | of_files
    lacking += [text for each in sorted(definitions) for text in _bad_universe(each, definitions)]
    if doubtful or lacking:
        return Finding("warning", "; ".join((*doubtful, *lacking, "its next training would fail")))
    return Finding("ok", ", ".join(("main", *sorted(definitions))))


def _bad_universe(name: str, definitions: Mapping[str, LineDefinition]) -> Iterator[str]:
    """Why the content of its file can't be used; that it is not there is known already."""
    path = definitions[name].recipe.get("universe_file")
    if isinstance(path, str) and Path(path).is_file():
        try:
            read_universe(Path(path))
        except TrainingFailed as error:
            yield f"{name}: recipe.universe_file {error.reason}"


def check_signals(settings: Settings) -> Finding:
    """There are the lines that SIGNALS names; others are passed over, which a worker warns of."""
    wanted = settings.signals.lines
    if not wanted:
        return Finding("ok", "SIGNALS is not set, so nothing is scored at every bar")
    control = _control(settings)
    if control is None:
        return _NO_DATABASE
    with _lines_and_files(control) as (known, files, _):
        taken = {(line.name, line.file_sha256) for line in known}
        new = {file.name for file in files if (file.name, file.sha256) not in taken}
    states: dict[str, str] = {line.name: line.state for line in known}
    states |= dict.fromkeys((MODEL_LINE, *new), "active")
    lacking = {name: states.get(name, "not there") for name in wanted}
    reasons = [
        f"the line {name} is {state}" for name, state in lacking.items() if state != "active"
    ]
    if reasons:
        return Finding("warning", f"SIGNALS: {', '.join(reasons)}, and passed over")
    return Finding("ok", f"scored at every bar: {', '.join(wanted)}")


_NO_DATABASE = Finding("warning", "can't be looked at: AUDIT_DATABASE_URL is no database")


def _control(settings: Settings) -> ControlPlane | None:
    """None where the address is of no database, which another check says."""
    with suppress(CannotStart):
        return build_control(settings)
    return None


@contextmanager
def _lines_and_files(
    control: ControlPlane,
) -> Iterator[tuple[tuple[ModelLine, ...], tuple[LineFile, ...], tuple[str, ...]]]:
    """The lines of the database, and the files beside those that define none.

    A database that is not there yet, or out of reach, which another check says, has no lines.
    """
    known: tuple[ModelLine, ...] = ()
    try:
        if not is_missing(control.database):
            with suppress(DatabaseUnavailable):
                known = control.lines.store.read_all()
        yield (known, *control.line_files.scan())
    finally:
        control.database.dispose()


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
