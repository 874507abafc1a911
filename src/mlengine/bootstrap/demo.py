"""The demo: a year of the sample's prices, replayed bar by bar under a clock that is set."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.core.bars.bars import PRICES, VALUES
from mlengine.errors import MlengineError
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.market_data.sample import find_sample_file, read_sample
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.system.atomic_files import PUBLIC, replace_file

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
SESSIONS, SESSIONS_BEFORE = 252, 1_500
_SESSIONS_A_TRAINING, _SESSIONS_AN_UPDATE = 63, 21
# IBM pays once, after so many sessions: an adjusted feed then lowers all its earlier prices.
_PAYING, _PAYMENT_SESSION, _PAYMENT = "IBM", 120, 0.01
# MSFT's bar of one session is served a day late.
_LATE, _LATE_SESSION = "MSFT", 200
_ACTOR = "demo"


@dataclass(frozen=True)
class DemoResult:
    """How many predictions and trained versions there are, and the last replayed session."""

    predictions: int
    versions: int
    through: date


def simulate_year(
    settings: Settings,
    folder: Path,
    *,
    today: date,
    report: Callable[[str], None],
    sessions: int = SESSIONS,
) -> DemoResult:
    """Live through `sessions` sessions up to the day before `today`.

    Each session its bars are added to the files in `folder`, the MARKET_DATA_DIR of `settings`, and
    every symbol is predicted as soon as they are final; a training comes each quarter, an update of
    the monitoring each month. The prices are the sample's, on the newest weekdays. Raises
    UpstreamUnavailable without the sample.
    """
    prices = _recent(read_sample(find_sample_file()), sessions=sessions, today=today)
    folder.mkdir(parents=True, exist_ok=True)
    platform = build_platform(settings)
    platform.control.migrate_and_backfill()
    days = prices[SYMBOLS[0]]["timestamp"].to_list()[SESSIONS_BEFORE:]
    predictions = 0
    for number, day in enumerate(days):
        now = day + timedelta(days=1, minutes=5)
        for symbol, text in _files(prices, number):
            replace_file(folder / f"{symbol}.csv", text, mode=PUBLIC)
        if number % _SESSIONS_A_TRAINING == 0:
            report(f"{day:%Y-%m-%d}: {_train(platform, number, now)}")
        request = PredictionRequest(f"demo-{number}", now, route="/predict/batch")
        predictions += len(platform.predict.predict_batch(SYMBOLS, request).results)
        if number % _SESSIONS_AN_UPDATE == _SESSIONS_AN_UPDATE - 1:
            platform.monitoring_updates.run(now)
    return DemoResult(predictions, len(platform.models.list().models), days[-1].date())


def _recent(
    sample: Mapping[str, pl.DataFrame], *, sessions: int, today: date
) -> dict[str, pl.DataFrame]:
    """The newest bars of each symbol, dated as the last weekdays before `today`."""
    rows = SESSIONS_BEFORE + sessions
    days = list(_weekdays_before(today, rows))[::-1]
    stamps = pl.Series("timestamp", [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in days])
    return {
        symbol: sample[symbol].select(VALUES).tail(rows).with_columns(stamps) for symbol in SYMBOLS
    }


def _weekdays_before(day: date, count: int) -> Iterator[date]:
    while count:
        day -= timedelta(days=1)
        if day.weekday() < 5:
            yield day
            count -= 1


def _files(prices: Mapping[str, pl.DataFrame], session: int) -> Iterator[tuple[str, bytes]]:
    """The files as a vendor serves them after `session` of the replayed ones."""
    for symbol, bars in prices.items():
        late = symbol == _LATE and session == _LATE_SESSION
        served = bars.head(SESSIONS_BEFORE + session + (0 if late else 1))
        if symbol == _PAYING and session < _PAYMENT_SESSION:
            served = served.with_columns(pl.col(PRICES) / (1.0 - _PAYMENT))
        columns = served.select(pl.col("timestamp").dt.date().alias("date"), *VALUES)
        yield symbol, columns.write_csv().encode()


def _train(platform: Platform, number: int, now: datetime) -> str:
    """A training at that moment: which version it made and what became of that."""
    spec = replace(platform.control.runs.defaults, symbols=SYMBOLS, seed=number)
    run_id = f"demo{number}"
    text = orjson.dumps(spec.to_dict()).decode()
    new = NewRun(run_id=run_id, spec=text, actor=_ACTOR, request_id=run_id)
    platform.control.run_store.create(new, now=now)
    try:
        version = replace(platform.run_executor, clock=lambda: now).execute(run_id)
    except MlengineError as error:
        return f"training failed: {error}"
    manifest, is_active = platform.models.get(str(version))
    return (
        f"trained {version}, {'active' if is_active else 'not promoted'} ({manifest.gate.reason})"
    )
