"""Bars of many symbols in one question are those of single questions, whatever the files hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.databases import bar_store
from tests.factories import random_bars

from mlengine.errors import MlengineError, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.system.dependency_states import DependencyStates

DAY = timedelta(days=1)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
START = datetime(2024, 5, 1, tzinfo=UTC)
BARS = 20
ASKED = ("C", "A", "NONE", "B", "D", "", "x" * 65)

# A fault takes a symbol's bars and gives them as some file would hold them.
Fault = Callable[[pl.DataFrame], pl.DataFrame]


def _first(bars: pl.DataFrame, **values: pl.Expr) -> pl.DataFrame:
    """`bars` with other values in the third row."""
    third = pl.int_range(pl.len()) == 2
    return bars.with_columns(
        pl.when(third).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


FAULTS: dict[str, Fault] = {
    "sound": lambda bars: bars,
    "not finite": lambda bars: _first(bars, close=pl.lit(float("nan"))),
    "null": lambda bars: _first(bars, volume=pl.lit(None)),
    "negative": lambda bars: _first(bars, low=-pl.col("low")),
    "disordered prices": lambda bars: _first(bars, high=pl.col("low") / 2),
    "rounded": lambda bars: _first(bars, high=pl.max_horizontal("open", "close") * (1 - 1e-7)),
    "negative zero": lambda bars: _first(bars, volume=pl.lit(-0.0)),
    "no moment": lambda bars: _first(bars, timestamp=pl.lit(None)),
    "no moments": lambda bars: bars.with_columns(timestamp=pl.lit(None, pl.Datetime("us", "UTC"))),
    "future": lambda bars: bars.with_columns(pl.col("timestamp") + 20 * DAY),
    "all bad": lambda bars: bars.with_columns(close=pl.lit(None, pl.Float64)),
    "twins": lambda bars: pl.concat([bars, bars.tail(3)]),
    "conflicting": lambda bars: pl.concat(
        [bars, bars.tail(2).with_columns(pl.col("volume") + 1.0)]
    ),
    "backwards": lambda bars: bars.reverse(),
    "hourly": lambda bars: bars.with_columns(
        timestamp=pl.lit(NOW - 30 * DAY) + pl.int_range(pl.len()) * timedelta(hours=1)
    ),
    "few": lambda bars: bars.tail(5),
    "sparse": lambda bars: bars.with_columns(
        timestamp=pl.lit(NOW - 300 * DAY)
        + pl.int_range(pl.len()) * DAY
        + pl.when(pl.int_range(pl.len()) > 10).then(200 * DAY).otherwise(0 * DAY)
    ),
    "says final": lambda bars: bars.with_columns(final=pl.lit(value=True)),
    "unfinished": lambda bars: bars.with_columns(final=pl.col("timestamp") < NOW - 3 * DAY),
    "closes early": lambda bars: bars.with_columns(
        closes_at=pl.col("timestamp") + timedelta(hours=6)
    ),
}
PLACES = ("panel", "own", "both", "csv", "broken")

scenes = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C", "D"]), st.sampled_from([*FAULTS]), st.sampled_from(PLACES)
    ),
    min_size=1,
    max_size=6,
)


def _write(folder: Path, scene: Sequence[tuple[str, str, str]]) -> None:
    panel = []
    for number, (symbol, fault, place) in enumerate(scene):
        start = datetime(2024, 5, 2, tzinfo=UTC)
        bars = FAULTS[fault](random_bars(symbol, rows=31, seed=number // 3, start=start))
        if place in ("panel", "both"):
            panel.append(bars)
        if place in ("own", "both"):
            bars.drop("symbol").write_parquet(folder / f"{symbol}.parquet")
        if place == "csv":
            bars.write_csv(folder / f"part{number}.csv")
        if place == "broken":
            (folder / f"{symbol}.csv").write_text("date,open\n1,2\n")
    if panel:
        pl.concat(panel, how="diagonal").write_parquet(folder / "panel.parquet")


def _service(folder: Path) -> BarService:
    return BarService(
        FilesMarketData(folder),
        bar_store(Path(mkdtemp(dir=folder.parent))),
        "1d",
        5.0,
        DependencyStates(),
    )


class _LogFacts(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.facts: list[tuple[object, ...]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        self.facts.append(
            (
                record.levelno,
                *(fields[name] for name in ("symbol", "accepted", "mended", "dropped")),
            )
        )


def _alone(service: BarService, symbol: str, as_of: datetime | None) -> object:
    try:
        window = service.window(symbol, bars=BARS, as_of=as_of, now=NOW).bars
    except MlengineError as error:
        return type(error), str(error)
    return window.bars_hash, window.last_timestamp, window.frame().rows()


def _summary(result: object) -> object:
    if isinstance(result, MlengineError):
        return type(result), str(result)
    return result.bars.bars_hash, result.bars.last_timestamp, result.bars.frame().rows()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(scene=scenes, as_of=st.sampled_from([None, NOW - 4 * DAY, NOW - 200 * DAY]))
def test_one_question_for_all_says_what_single_questions_say(scene, as_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    _write(folder, scene)
    logged, log = _LogFacts(), logging.getLogger("mlengine.services.bars.upstream.fetcher")
    level = log.level
    log.addHandler(logged)
    log.setLevel(logging.DEBUG)
    try:
        one_by_one, at_once = _service(folder), _service(folder)
        singly = {symbol: _alone(one_by_one, symbol, as_of) for symbol in ASKED}
        logged_singly, logged.facts = logged.facts, []
        together = at_once.windows_in_one_pass(ASKED, bars=BARS, as_of=as_of, now=NOW)
    finally:
        log.removeHandler(logged)
        log.setLevel(level)
    assert list(together) == list(ASKED)
    assert {symbol: _summary(result) for symbol, result in together.items()} == singly
    assert sorted(logged.facts, key=repr) == sorted(logged_singly, key=repr)
    assert _cached(at_once) == _cached(one_by_one)


def _cached(service: BarService) -> dict[str, object]:
    cached = {symbol: service.cache.get(symbol, now=NOW) for symbol in ASKED}
    return {
        symbol: (each.clean.frame.rows(), each.clean.report, each.expires_at, each.entire_history)
        for symbol, each in cached.items()
        if each
    }


def test_a_directory_that_is_gone_refuses_all_of_them(tmp_path):
    service = _service(tmp_path / "nowhere")
    results = service.windows_in_one_pass(["A", "B"], bars=BARS, as_of=None, now=NOW)
    assert {type(refusal) for refusal in results.values()} == {UpstreamUnavailable}
    assert service.states.state("upstream") == "down"


def test_who_has_to_be_asked_one_by_one_says_so(tmp_path):
    random_bars("A", rows=31, start=START).write_parquet(tmp_path / "A.parquet")
    before_1970 = datetime(1969, 1, 1, tzinfo=UTC)
    assert (
        _service(tmp_path).windows_in_one_pass(["A"], bars=BARS, as_of=before_1970, now=NOW) == {}
    )
    sample = BarService(SampleMarketData(), bar_store(tmp_path), "1d", 5.0, DependencyStates())
    assert sample.windows_in_one_pass(["AAPL", "IBM"], bars=BARS, as_of=None, now=NOW) == {}
