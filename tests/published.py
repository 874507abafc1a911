"""Tiny real models: a booster of five trees, and the manifest of a version that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from mlengine.core.boosting.model import LabelledRows, LightGBMConfig, fit
from mlengine.core.evaluation import Bootstrap, Calibration, MetricEstimate, SignRule, Verdict
from mlengine.core.features import CORE, FeatureSet
from mlengine.core.promotion.gate import Decision
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.data_entry import BarsEntry, DataEntry
from mlengine.core.versions.manifest import (
    FeatureSetEntry,
    LabelEntry,
    Manifest,
    RowRange,
    SplitEntry,
)
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.trial_load import record_loadable
from mlengine.stores.system import table_files

CREATED = datetime(2021, 1, 1, tzinfo=UTC)
SPEC = TrainSpec(
    symbols=("AAA",),
    lookback=0,
    test_size=0.2,
    seed=1,
    folds=0,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="core",
    activate="always",
    refit="none",
    label_delay_bars=0,
    interval="1d",
)
SIGN_RULE = SignRule(1, 5.0, 0.0, 0.0, 0.0, -0.01, 0.01, 0.0)
TRAINED_THROUGH = datetime(2020, 9, 1, tzinfo=UTC)


@cache
def tiny_text(names: tuple[str, ...], *, objective: str = "direction", seed: int = 1) -> str:
    """LightGBM text of five trees over columns of these names."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(400, len(names)))
    labels = features[:, 0] + features[:, 1] + rng.normal(size=400)
    if objective == "direction":
        labels = (labels > 0).astype(np.float64)
    recipe = LightGBMConfig(
        objective, seed, 1, rounds=5, early_stopping_rounds=5, params={"num_leaves": 4}
    )
    return fit(
        recipe,
        names=names,
        train=LabelledRows(features[:300], labels[:300]),
        early_stop=LabelledRows(features[300:], labels[300:]),
    ).text


def draft(feature_set: FeatureSet = CORE, *, run_id: str = "run", **changed: object) -> Manifest:
    """A manifest before it is published."""
    part = RowRange(start=CREATED, end=CREATED, rows=1)
    manifest = Manifest(
        run_id=run_id,
        actor="test",
        created_at=CREATED,
        as_of=CREATED,
        spec=SPEC,
        objective="direction",
        horizon_bars=5,
        label_delay_bars=0,
        interval="1d",
        feature_set=FeatureSetEntry(
            feature_set.name,
            feature_set.version,
            feature_set.hash,
            feature_set.window_bars,
            feature_set.names,
        ),
        label=LabelEntry("forward_return_sign", 5, 0),
        seed=1,
        params={"num_leaves": 4},
        num_threads=1,
        rounds=5,
        early_stopping_rounds=5,
        best_iteration=5,
        data=DataEntry(
            start=CREATED,
            end=CREATED,
            lookback=0,
            symbols=("AAA",),
            holdout_only_symbols=(),
            skipped_symbols=(),
            rows=1,
            labelled_rows=1,
            bars_sha256="0" * 64,
            bars_report=BarsEntry(1, {}, {}),
        ),
        split=SplitEntry(
            0.2, 0, part, part, replace(part, start=TRAINED_THROUGH, end=TRAINED_THROUGH), 0, 0
        ),
        folds=(),
        metrics={
            "auc": MetricEstimate(0.5, 0.5, "coin_flip", low=0.45, high=0.55),
            "rank_ic": MetricEstimate(None, 0.0, "no_skill", reason="no date has 10 symbols"),
        },
        calibration=Calibration(
            slope=MetricEstimate(0.9, 1.0, "perfect", low=0.4, high=1.4),
            intercept=MetricEstimate(None, 0.0, "perfect", reason="not fitted"),
            bins=(),
        ),
        sign_rule=SIGN_RULE,
        bootstrap=Bootstrap(20, 1000, 1, 0.95),
        verdict=Verdict("no_edge", "auc", 0.5, 0.5, 0.45, 0.55),
        holdout_reused_by=0,
        base_rate=0.5,
        zero_share=0.0,
        served="candidate",
        trained_through=TRAINED_THROUGH,
        candidate_trained_through=TRAINED_THROUGH,
        selected_through=None,
        importances={},
        fingerprint="f" * 64,
        candidate_fingerprint="f" * 64,
        libraries={},
        gate=Decision("always", True, "policy_always", None, {}),
    )
    return replace(manifest, **changed)  # type: ignore[arg-type]


def tiny_files(
    feature_set: FeatureSet = CORE, *, objective: str = "direction", seed: int = 1
) -> Mapping[str, bytes]:
    """The files beside the manifest."""
    rng = np.random.default_rng(seed)
    reference = pl.DataFrame(rng.normal(size=(100, len(feature_set.names))), feature_set.names)
    return {
        "model.txt": tiny_text(feature_set.names, objective=objective, seed=seed).encode(),
        "reference.parquet": table_files.to_parquet(
            reference.with_columns(prediction=pl.lit(0.5), symbol=pl.lit("AAA"))
        ),
        "holdout.parquet": table_files.to_parquet(tiny_holdout(seed)),
    }


def tiny_holdout(seed: int, *, dates: int = 40) -> pl.DataFrame:
    """Outcomes that all versions share, and scores of one, from the end of its training on."""
    returns = np.random.default_rng(99).normal(0.0, 0.01, dates)
    return pl.DataFrame(
        {
            "symbol": ["AAA"] * dates,
            "timestamp": [TRAINED_THROUGH + timedelta(days=day) for day in range(dates)],
            "label": (returns > 0.0).astype(np.float64),
            "forward_return": returns,
            "score": np.random.default_rng(seed).uniform(0.4, 0.6, dates),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def publish(
    directory: Path,
    *,
    feature_set: FeatureSet = CORE,
    seed: int = 1,
    entry: FeatureSetEntry | None = None,
    beside: Mapping[str, bytes] | None = None,
    **changed: object,
) -> Manifest:
    """Publish a tiny model as the next version; `entry` is what its manifest claims of the set.

    `beside` are further files of it.
    """
    if entry:
        changed["feature_set"] = entry
    objective = str(changed.get("objective", "direction"))
    manifest = Registry(directory).publish(
        replace(draft(feature_set), **changed),  # type: ignore[arg-type]
        {**tiny_files(feature_set, objective=objective, seed=seed), **(beside or {})},
        fence=lambda: None,
    )
    record_loadable(directory, manifest.files["model.txt"])  # as a training does
    return manifest
