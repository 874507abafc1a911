"""A platform over files or a service as people really have them, asked over HTTP."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from flask.testing import FlaskClient
from tests.databases import new_database
from tests.published import publish

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.stores.runs.rows import NewRun

Row = tuple[float, float, float, float, float]
Rows = Sequence[Row]
KEY = {"X-API-Key": "k" * 40}
HEADER = "timestamp,open,high,low,close,volume"


def walk(
    rows: int,
    *,
    seed: int = 1,
    start: float = 100.0,
    volatility: float = 0.012,
    drift: float = 0.0002,
    volume: float = 1_000_000,
) -> list[Row]:
    """A random walk: open, high, low, close and volume of `rows` bars, oldest first."""
    rng = random.Random(seed)  # noqa: S311 - prices, no secrets
    close, bars = start, []
    for _ in range(rows):
        opened = close * (1 + rng.gauss(0, volatility / 4))
        close = opened * math.exp(rng.gauss(drift, volatility))
        high = max(opened, close) * (1 + abs(rng.gauss(0, volatility / 3)))
        low = min(opened, close) * (1 - abs(rng.gauss(0, volatility / 3)))
        bars.append((opened, high, low, close, int(volume * math.exp(rng.gauss(0, 0.4)))))
    return bars


def weekdays(count: int, *, end: date | None = None) -> list[date]:
    """So many weekdays up to and including `end` (yesterday in UTC), oldest first."""
    day = end or (datetime.now(UTC).date() - timedelta(days=1))
    days: list[date] = []
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return days[::-1]


def steps(count: int, step: timedelta, *, end: datetime | None = None) -> list[datetime]:
    """So many starts of bars, `step` apart, of which the last is final at `end` (now)."""
    end = end or datetime.now(UTC)
    seconds = step.total_seconds()
    last = datetime.fromtimestamp((end.timestamp() // seconds) * seconds, UTC) - step
    return [last - step * back for back in range(count)][::-1]


def csv_text(stamps: Iterable[object], rows: Rows, header: str = HEADER) -> str:
    """A plain CSV file."""
    lines = (
        f"{stamp}," + ",".join(map(repr, row)) for stamp, row in zip(stamps, rows, strict=True)
    )
    return "\n".join([header, *lines, ""])


@dataclass
class World:
    """A folder of bars, settings, and the platform on them; a tiny model is active from the start.

    `GOOD.csv` is always there: clean daily bars of 400 weekdays. Nothing is cached, so that each
    request meets the files as they are.
    """

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    interval: str = "1d"
    model: bool = True
    _runs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bars.mkdir(parents=True)

    @property
    def bars(self) -> Path:
        return self.folder / "bars"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.bars / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def csv(self, name: str, stamps: Iterable[object], rows: Rows, header: str = HEADER) -> Path:
        return self.write(name, csv_text(stamps, rows, header))

    def configure(self, **environ: object) -> None:
        """Settings of the platform, before it is asked anything."""
        self.environ |= {name: str(value) for name, value in environ.items()}

    @cached_property
    def platform(self) -> Platform:
        settings = self._settings()
        settings.artifacts_dir.mkdir()
        new_database(settings.artifacts_dir / "audit.db")
        platform = build_platform(settings)
        platform.control.migrate_and_backfill()
        if self.model:
            created = datetime.now(UTC) - timedelta(days=1)
            publish(platform.models.registry.directory, interval=self.interval, created_at=created)
            platform.models.activate("v1", actor="test", reason="first", now=datetime.now(UTC))
        return platform

    @cached_property
    def client(self) -> FlaskClient:
        return create_app(self._settings(), platform=self.platform).test_client()

    def _settings(self) -> Settings:
        defaults = {
            "ADMIN_API_KEY": KEY["X-API-Key"],
            "ARTIFACTS_DIR": str(self.folder / "artifacts"),
            "MARKET_DATA_CACHE_SECONDS": "0",
            "MARKET_DATA_RECHECK_SECONDS": "0",
            "MARKET_DATA_RETRY_ATTEMPTS": "0",
            "MARKET_DATA_INTERVAL": self.interval,
            "TRAIN_SYMBOLS": "GOOD",
            "TRAIN_ROUNDS": "5",
            "TRAIN_CV_FOLDS": "1",
            "TRAIN_LOOKBACK": "0",
            "RATE_LIMIT_REQUESTS": "0",
            "LOG_LEVEL": "WARNING",
        }
        if "MARKET_DATA_BASE_URL" not in self.environ:
            defaults["MARKET_DATA_DIR"] = str(self.bars)
        return Settings.from_env({**defaults, **self.environ})

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        response = self.client.get(path, query_string={k: str(v) for k, v in query.items()})
        return response.status_code, response.get_json()

    def post(self, path: str, body: Mapping[str, object]) -> tuple[int, Any]:
        response = self.client.post(path, json=dict(body), headers=KEY)
        return response.status_code, response.get_json()

    def predict(self, symbol: str, **query: object) -> Any:
        """The body of an answer that must be 200."""
        status, body = self.get("/predict", symbol=symbol, **query)
        assert status == 200, (symbol, body)
        return body

    def refusal(self, symbol: str, **query: object) -> Any:
        """The body of an answer that must not be 200."""
        status, body = self.get("/predict", symbol=symbol, **query)
        assert status != 200, (symbol, body)
        assert status < 500 or body["code"] in {"upstream_invalid", "upstream_unavailable"}, body
        return body

    def features(self, symbol: str, **query: object) -> Any:
        status, body = self.get("/features", symbol=symbol, **query)
        assert status == 200, (symbol, body)
        return body["features"]

    def train(self, *symbols: str, **changed: object) -> Any:
        """The body of the version that a training in this process makes, or TrainingFailed."""
        run_id = f"run{len(self._runs) + 1}"
        self._runs.append(run_id)
        defaults = self.platform.control.runs.defaults
        spec = replace(defaults, symbols=symbols or defaults.symbols, **changed)  # type: ignore[arg-type]
        text = orjson.dumps(spec.to_dict()).decode()
        new = NewRun(run_id=run_id, spec=text, actor="test", request_id=run_id)
        self.platform.control.run_store.create(new, now=datetime.now(UTC))
        version = self.platform.run_executor.execute(run_id)
        return self.get(f"/models/{version}")[1]


def assert_equal_features(world: World, *symbols: str, digits: float = 1e-9) -> None:
    """Every symbol has the features of the first, of its newest row, to rounding."""
    first, *others = (world.features(symbol, limit=1)[-1] for symbol in symbols)
    for symbol, row in zip(symbols[1:], others, strict=True):
        for name, value in first.items():
            if name == "timestamp" or value is None:
                assert row[name] == value, (symbol, name)
            else:
                assert math.isclose(row[name], value, rel_tol=digits, abs_tol=digits), (
                    symbol,
                    name,
                )
