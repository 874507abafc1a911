"""Early stopping after the fit: which round a fit would have ended with, had it looked.

Workers of a cluster have a part of the stopping rows each, would stop at different rounds, and
wait for each other for ever. So they fit all rounds, and the trees after the best one are cut off:
the trees before a round do not depend on what comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import lightgbm as lgb
import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.boosting.model import FittedModel, LightGBMConfig, fitted_model
from mlengine.core.boosting.text_shape import without_parameters
from mlengine.core.metrics.losses import row_losses
from mlengine.errors import TrainingFailed

# Scores of so many rows and rounds are held at once: 16 MB.
_MOST_CELLS = 2_000_000
_MACHINES = re.compile(r"\[(machines|num_machines|local_listen_port|time_out): .*\]\n")
_LEAVES = "leaf_value="


def cut_at_best_round(
    text: str,
    config: LightGBMConfig,
    *,
    names: tuple[str, ...],
    early_stop: Iterable[tuple[Floats, Floats]] | None,
) -> FittedModel:
    """The model of `text` with the trees that early stopping leaves; all without `early_stop`.

    `early_stop` are rows and labels, (rows, features) and (rows,), NaN where undefined, block by
    block. Parameters that name the machines of a cluster are left out. Raises TrainingFailed for
    a text that is no model of these features.
    """
    try:
        booster = lgb.Booster(model_str=_MACHINES.sub("", text))
    except lgb.basic.LightGBMError as refusal:
        raise TrainingFailed("the cluster's answer is no LightGBM model") from refusal
    if tuple(booster.feature_name()) != names:
        raise TrainingFailed("the cluster's model is one of other features")
    best = booster.num_trees()
    if early_stop is not None:
        losses = _losses_by_round(booster, text, config.objective, early_stop)
        best = best_round(losses, config.early_stopping_rounds)
    return fitted_model(booster, best, names)


def best_round(losses: Sequence[float] | Floats, patience: int) -> int:
    """The round, from 1, of the least loss before `patience` rounds without a lesser one.

    >>> best_round([3.0, 2.0, 2.0, 2.5, 1.0], patience=2)
    2
    >>> best_round([3.0, 2.0, 2.0, 2.5, 1.0], patience=3)
    5
    """
    best = 0
    for at, loss in enumerate(losses):
        if loss < losses[best]:
            best = at
        elif at - best >= patience:
            break
    return best + 1


def _losses_by_round(
    booster: lgb.Booster, text: str, objective: str, blocks: Iterable[tuple[Floats, Floats]]
) -> Floats:
    """The mean loss with the trees up to each round, (rounds,)."""
    leaves = [np.array(line.split(" "), np.float64) for line in _leaf_lines(text)]
    total, rows = np.zeros(len(leaves)), 0
    step = max(1, _MOST_CELLS // len(leaves))
    for features, labels in blocks:
        for first in range(0, len(labels), step):
            part = slice(first, first + step)
            total += _sums(booster, leaves, objective, features[part], labels[part])
        rows += len(labels)
    return total / rows


def _sums(
    booster: lgb.Booster, leaves: Sequence[Floats], objective: str, rows: Floats, labels: Floats
) -> Floats:
    """The loss of some rows with the trees up to each round, summed up."""
    at = np.asarray(booster.predict(rows, pred_leaf=True, num_threads=1)).reshape(len(rows), -1)
    raw = np.cumsum([values[at[:, tree]] for tree, values in enumerate(leaves)], axis=0)
    scores = 1.0 / (1.0 + np.exp(-raw)) if objective == "direction" else raw
    return np.asarray(np.sum(row_losses(objective, labels=labels, scores=scores), axis=1))


def _leaf_lines(text: str) -> list[str]:
    lines = without_parameters(text).split("\n")
    return [line.removeprefix(_LEAVES) for line in lines if line.startswith(_LEAVES)]
