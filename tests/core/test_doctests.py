"""The examples in the docstrings of core are run, so that they stay true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import mlengine.core

WITH_EXAMPLES = {
    "mlengine.core.actions.adjustment",
    "mlengine.core.bars.intervals",
    "mlengine.core.bars.symbols",
    "mlengine.core.boosting.early_stopping",
    "mlengine.core.features.evaluation_order",
    "mlengine.core.features.kernels",
    "mlengine.core.features.pieces",
    "mlengine.core.line_names",
    "mlengine.core.metrics.block_bootstrap",
    "mlengine.core.metrics.losses",
    "mlengine.core.metrics.ranking",
    "mlengine.core.metrics.session_dates",
    "mlengine.core.metrics.verdict",
    "mlengine.core.monitoring.drift.calibration",
    "mlengine.core.monitoring.drift.distances",
    "mlengine.core.monitoring.drift.log_loss",
    "mlengine.core.monitoring.drift.windows",
    "mlengine.core.monitoring.sequential",
    "mlengine.core.promotion.diebold_mariano",
    "mlengine.core.telemetry.latency_sketch",
    "mlengine.core.training.labels",
    "mlengine.core.training.splits",
}


def test_every_example_in_core_gives_what_it_says():
    names = [each.name for each in pkgutil.walk_packages(mlengine.core.__path__, "mlengine.core.")]
    results = {name: doctest.testmod(importlib.import_module(name)) for name in names}
    assert {name for name, result in results.items() if result.failed} == set()
    assert {name for name, result in results.items() if result.attempted} == WITH_EXAMPLES
