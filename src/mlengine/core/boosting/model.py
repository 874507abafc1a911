"""LightGBM: fitting a recipe the same way on any number of threads, and scoring with one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import lightgbm as lgb
import numpy as np

from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.core.boosting.binning import (
    BinnedRows,
    LabelledRows,
    Params,
    translated_lightgbm_errors,
)
from mlengine.core.boosting.single_row import ScoreRow, single_row
from mlengine.core.boosting.text_shape import without_parameters

# Small, damped trees: a few thousand daily rows hold little signal and much noise.
DEFAULT_PARAMS: Params = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 255,
}
_OBJECTIVES = {"direction": "binary", "return": "regression"}


@dataclass(frozen=True)
class LightGBMConfig:
    """`rounds` at most, ended `early_stopping_rounds` after the best one on the stopping rows."""

    objective: str
    seed: int
    num_threads: int
    rounds: int = 300
    early_stopping_rounds: int = 50
    params: Params = field(default_factory=lambda: DEFAULT_PARAMS)

    def lightgbm_params(self) -> dict[str, int | float | str | bool]:
        """Column-wise histograms and `deterministic` give the same trees on any thread count."""
        return {
            **self.params,
            "objective": _OBJECTIVES[self.objective],
            # LightGBM sums its own metrics by thread, which moves their last bits: see `_loss`.
            "metric": "None",
            "seed": self.seed,
            "num_threads": self.num_threads,
            "deterministic": True,
            # One thread adds up a feature's histogram, in the order of the rows.
            "force_col_wise": True,
            # A feature too rare to split on in the oldest fold may be worth it in later ones.
            "feature_pre_filter": False,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class FittedModel:
    """A model as LightGBM text, cut at `best_iteration`; `importances` is the gain a feature."""

    text: str
    best_iteration: int
    fingerprint: str
    importances: Mapping[str, float]


def fit(
    config: LightGBMConfig,
    *,
    names: tuple[str, ...],
    train: LabelledRows,
    early_stop: LabelledRows | None,
    on_iteration: Callable[[int], None] | None = None,
) -> FittedModel:
    """Fit on `train`, in bins of its own; without `early_stop` all `rounds` are used.

    See `fit_binned`, which needs the rows no more.
    """
    binned = BinnedRows.of(
        config.lightgbm_params(), names=names, train=train, early_stop=early_stop
    )
    return fit_binned(config, binned, on_iteration=on_iteration)


def fit_binned(
    config: LightGBMConfig, rows: BinnedRows, *, on_iteration: Callable[[int], None] | None = None
) -> FittedModel:
    """The trees of `config` on binned rows.

    `on_iteration` gets the round, from 1; what it raises ends the fit. Raises TrainingFailed
    when LightGBM refuses the data.
    """
    with translated_lightgbm_errors():
        booster = lgb.train(
            config.lightgbm_params(),
            rows.train,
            config.rounds,
            valid_sets=[rows.early_stop] if rows.early_stop else None,
            feval=_loss(config.objective),
            callbacks=_callbacks(
                config, early=rows.early_stop is not None, on_iteration=on_iteration
            ),
        )
    best = booster.best_iteration if rows.early_stop else booster.current_iteration()
    return fitted_model(booster, best, rows.names)


def fitted_model(booster: lgb.Booster, best: int, names: tuple[str, ...]) -> FittedModel:
    """What a booster is up to its round `best`."""
    text = booster.model_to_string(num_iteration=best)
    gains = booster.feature_importance("gain", iteration=best)
    importances = {name: float(gain) for name, gain in zip(names, gains, strict=True)}
    return FittedModel(text, best, fingerprint(text), importances)


def fingerprint(text: str) -> str:
    """SHA-256 of the trees: the text before its parameters, which name the thread count."""
    return hashlib.sha256(without_parameters(text).encode()).hexdigest()


@dataclass(frozen=True)
class Scorer:
    """A loaded model; safe for threads, and always one thread a call (two cost 12 ms a row)."""

    booster: lgb.Booster
    feature_names: tuple[str, ...]

    @classmethod
    def from_text(cls, text: str) -> Scorer:
        """Raises ValueError when the text is not a LightGBM model."""
        try:
            booster = lgb.Booster(model_str=without_parameters(text))
        except lgb.basic.LightGBMError:
            raise ValueError("the text is not a LightGBM model") from None
        return cls(booster, tuple(booster.feature_name()))

    def score(self, matrix: Floats) -> Floats:
        """(rows, features) to (rows,): probabilities for `direction`, returns for `return`.

        Undefined features are NaN. Raises ValueError on another number of features.
        """
        return self._predict(matrix)

    @cached_property
    def score_row(self) -> ScoreRow:
        """`score` of one row, (features,) to a number: the same bits, in less time."""
        return single_row(self.booster, len(self.feature_names))

    def raw_score(self, matrix: Floats) -> Floats:
        """The sums of the trees, (rows,): log-odds for `direction`, returns for `return`."""
        return self._predict(matrix, raw_score=True)

    def contributions(self, matrix: Floats) -> Floats:
        """SHAP values on the raw scale, (rows, features + 1); the last column is the base."""
        return self._predict(matrix, pred_contrib=True)

    def _predict(self, matrix: Floats, **options: bool) -> Floats:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.feature_names):
            raise ValueError(f"{len(self.feature_names)} features a row are expected")
        if not len(matrix):
            return np.empty((0, matrix.shape[1] + 1) if options.get("pred_contrib") else 0)
        scores = self.booster.predict(
            np.ascontiguousarray(matrix, dtype=np.float64),
            num_threads=1,
            **options,
        )
        return np.asarray(scores, dtype=np.float64)


def _loss(objective: str) -> Callable[[Floats, lgb.Dataset], tuple[str, float, bool]]:
    """The loss that early stopping watches, the same bits on any number of threads."""
    measure = metrics.log_loss if objective == "direction" else metrics.mse

    def evaluate(scores: Floats, data: lgb.Dataset) -> tuple[str, float, bool]:
        return "loss", measure(np.asarray(data.get_label(), dtype=np.float64), scores), False

    return evaluate


def _callbacks(
    config: LightGBMConfig, *, early: bool, on_iteration: Callable[[int], None] | None
) -> list[Callable[..., None]]:
    callbacks: list[Callable[..., None]] = []
    if on_iteration is not None:
        callbacks.append(lambda env: on_iteration(env.iteration + 1))
    if early:
        callbacks.append(lgb.early_stopping(config.early_stopping_rounds, verbose=False))
    return callbacks
