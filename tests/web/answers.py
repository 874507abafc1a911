"""Features and predictions in memory: two symbols, and a few that stand for what can go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from mlengine import errors
from mlengine.core.predictions.prediction import (
    Contribution,
    FailedPrediction,
    FeatureSetRef,
    Latency,
    Prediction,
)
from mlengine.services.bars.windows import WindowSource, fetch_windows
from mlengine.services.features.service import FeatureTable
from mlengine.services.predictions.prediction_builder import PredictionBatch, PredictionRequest

DAY = datetime(2024, 5, 31, tzinfo=UTC)
SET = FeatureSetRef("core", 1, "ab" * 32, 64)
WRONG: Mapping[str, errors.MlengineError] = {
    "DOWN": errors.UpstreamUnavailable("connection refused", retry_after_seconds=7),
    "BROKEN": errors.UpstreamInvalid("2 bars disagree"),
    "SHORT": errors.InsufficientBars("SHORT", needed=64, got=3, first_possible=DAY),
    "UNAUDITED": errors.DatabaseUnavailable("the disk is full"),
    "ORPHAN": errors.LeaseLost("r1"),
}


def check(symbol: str) -> None:
    if symbol == "CRASH":
        raise RuntimeError("a secret\nof the house")
    if symbol in WRONG:
        raise WRONG[symbol]
    if symbol not in ("AAPL", "MSFT", "BRK.B", "BTC-USD"):
        raise errors.UnknownSymbol(symbol)


@dataclass(frozen=True)
class FakeFeatureService:
    calls: list[dict[str, object]] = field(default_factory=list)

    def table(
        self,
        symbol: str,
        *,
        limit: int,
        as_of: datetime | None,
        feature_set: str | None,
        now: datetime,
        session: date | None = None,
    ) -> FeatureTable:
        check(symbol)
        self.feature_set(feature_set)
        asked = {"symbol": symbol, "limit": limit, "as_of": as_of, "now": now}
        self.calls.append({**asked, "session": session})
        rows = pl.DataFrame(
            {
                "timestamp": [DAY - timedelta(days=1), DAY],
                "return_1": [0.1, float("nan")],
                "rsi_14": [None, 1 / 3],
            },
            schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
        )
        return FeatureTable(symbol, "1d", SET, "cd" * 32, rows.tail(limit), as_of or now)

    def feature_set(self, name: str | None) -> str:
        if name not in (None, "core"):
            raise errors.InvalidRequest({"feature_set": ["unknown; known are core"]})
        return "core"


@dataclass(frozen=True)
class FakePredictService:
    calls: list[dict[str, object]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def predict(self, symbol: str, request: PredictionRequest) -> Prediction:
        as_of, version, explain = request.as_of, request.version, request.explain
        try:
            check(symbol)
        except errors.MlengineError:
            self.refused.append(symbol)
            raise
        if version not in (None, "v1", "v2"):
            raise errors.ModelNotFound(version)
        self.calls.append({"symbol": symbol, "as_of": as_of, "explain": explain})
        return Prediction(
            prediction_id="p1",
            request_id=request.request_id,
            symbol=symbol,
            interval="1d",
            as_of=as_of or request.now,
            bar_timestamp=DAY,
            horizon_bars=5,
            objective="direction",
            probability_up=0.1 + 0.2,
            expected_return=None,
            prediction="down",
            confidence=0.4,
            model_version=version or "v2",
            model_fingerprint="ef" * 32,
            model_verdict="no_edge",
            feature_set=SET,
            bars_hash="cd" * 32,
            trained_through=DAY - timedelta(days=400),
            in_sample=False,
            known_symbol=True,
            base_rate=0.52,
            stale=True,
            degraded=False,
            latency_ms=Latency(1.0, 2.0, 0.02, 3.1),
            raw_score=-0.35 if explain else None,
            base_value=-0.1 if explain else None,
            contributions=(Contribution("rsi_14", float("nan"), -0.25),) if explain else None,
        )

    def predict_batch(
        self,
        symbols: Sequence[str],
        request: PredictionRequest,
        *,
        windows_of: WindowSource = fetch_windows,  # noqa: ARG002
    ) -> PredictionBatch:
        results: list[Prediction | FailedPrediction] = []
        for symbol in symbols:
            try:
                results.append(self.predict(symbol, request))
            except errors.MlengineError as error:
                results.append(
                    FailedPrediction(
                        prediction_id="p2",
                        request_id=request.request_id,
                        symbol=symbol,
                        as_of=request.as_of or request.now,
                        model_version="v2",
                        error_code=error.code,
                        detail=str(error),
                        latency_ms=Latency(0.1, None, None, 0.1),
                    )
                )
        return PredictionBatch(request.version or "v2", tuple(results))
