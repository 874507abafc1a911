"""Versions trained on a panel, and rows of the same panel predicted date by date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from sqlalchemy import Engine
from tests.core.monitoring.drift.panels import NAMES, SYMBOLS, PanelRows, panel
from tests.databases import a_prediction, window_of
from tests.published import draft, tiny_files

from mlengine.core.bars.bars import BarArrays
from mlengine.core.monitoring.drift.archive import arrays_of_model
from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.model_reference import ModelReference
from mlengine.core.monitoring.drift.reference import build_reference
from mlengine.core.monitoring.drift.sketch import sketch
from mlengine.core.monitoring.sequential import alert_level
from mlengine.core.predictions.prediction import FeatureSetRef
from mlengine.core.timestamps import EPOCH
from mlengine.core.versions.layout import DRIFT_FILE
from mlengine.core.versions.manifest import FeatureSetEntry
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.monitoring.drift_references import DriftReferences
from mlengine.services.monitoring.drift_updates import DriftUpdates
from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.audit.live_vectors import LiveVectorReader
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.audit.vectors import feature_vector_record
from mlengine.stores.monitoring.drift_store import DriftStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import array_files, table_files

HASH = "d" * 64
# The date of the first live row, in days since 1970.
FIRST = 20_000
_LEVEL = alert_level(years=10)
_WINDOWS = (5, 7, 20, 32)


def model_reference() -> ModelReference:
    """Of 2,000 dates of the panel, with scores that are uniform."""
    rows = panel(2000)
    scores = np.random.default_rng(1).random((len(rows.dates), 1))
    return ModelReference(
        build_reference(NAMES, rows, window_bars=10, windows=_WINDOWS),
        build_reference(
            ("prediction",),
            PanelRows(scores, rows.dates, rows.symbols),
            window_bars=10,
            windows=_WINDOWS,
        ),
        np.full(40, 0.69),
    )


def publish_version(
    registry: Registry,
    reference: ModelReference | None,
    *,
    drift: bytes | None = None,
    sketched: bytes | None = None,
    names: tuple[str, ...] = NAMES,
) -> None:
    """The next version, with this reference, or with these bytes in its place."""
    entry = FeatureSetEntry("core", 1, HASH, 64, names)
    files = {"model.txt": tiny_files()["model.txt"], "reference.parquet": sketched or _sketched()}
    if reference is not None:
        files[DRIFT_FILE] = drift or array_files.to_archive(arrays_of_model(reference))
    registry.publish(replace(draft(), feature_set=entry), files, fence=lambda: None)


@cache
def _sketched() -> bytes:
    values = np.column_stack([panel(200).values, np.linspace(0.0, 1.0, 200 * SYMBOLS)])
    samples = dict(zip((*NAMES, "prediction"), sort_columns(values), strict=True))
    return table_files.to_parquet(sketch(samples, rows=16_000))


@dataclass(frozen=True)
class LiveYears:
    """A registry and a database below `folder`."""

    registry: Registry
    audit: AuditStore
    drift: DriftService
    updates: DriftUpdates

    @classmethod
    def of(cls, folder: Path, engine: Engine) -> LiveYears:
        registry = Registry(folder / "models")
        parts = (DriftReferences(registry), LiveVectorReader(engine), DriftStore(engine))
        return cls(
            registry,
            AuditStore(engine),
            DriftService(registry, *parts, _LEVEL),
            DriftUpdates(registry, *parts, _LEVEL),
        )

    def live(self, rows: PanelRows, *, version: str = "v1", **changes: object) -> None:
        """Predict these rows, each a minute after its bar was final; their first date is FIRST."""
        dates = rows.dates - rows.dates.min() + FIRST if len(rows.dates) else rows.dates
        entries = [
            _entry(vector, f"S{symbol}", int(date), version, **changes)
            for vector, date, symbol in zip(rows.values, dates, rows.symbols, strict=True)
        ]
        self.audit.append(entries)


def moment(date: int) -> datetime:
    """A minute after the bar of a date is final."""
    return EPOCH + timedelta(days=date + 1, minutes=1)


_BARS: Mapping[str, BarArrays] = {
    f"S{symbol}": BarArrays.of(window_of(f"S{symbol}")) for symbol in range(SYMBOLS)
}
_USUAL = replace(a_prediction(0), feature_set=FeatureSetRef("core", 1, HASH, 64))
_numbers = iter(range(10**9))


def _entry(
    vector: np.ndarray, symbol: str, date: int, version: str, **changes: object
) -> AuditedPrediction:
    score = np.random.default_rng([date, *symbol.encode()]).random()
    at = moment(date)
    prediction = replace(
        _USUAL,
        prediction_id=f"p{next(_numbers)}",
        symbol=symbol,
        model_version=version,
        as_of=at,
        bar_timestamp=EPOCH + timedelta(days=date),
        probability_up=score,
        bars_hash=symbol * 32,
    ).with_changes(changes)
    scored = feature_vector_record(prediction, vector, _BARS[symbol])
    return AuditedPrediction(prediction, scored, "/predict", at)
