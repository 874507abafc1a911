"""Champion and challenger on common bars: those that neither candidate was trained on.

A row counts when its feature bar lies in both holdouts: not before the first bar that the champion
was judged on, nor before the last close that a training label of either candidate used. Purge and
embargo of both so hold, also for a symbol that was halted, whose labels end late. The rows are
those of this run's bars: a champion whose own holdout ended long ago is judged on newer ones.

Dates on which the champion was once chosen count too: its advantage there is small (one choice, no
fitting), and without them no scheduled retraining could be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import cast

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices, Moments
from mlengine.core.boosting.model import Scorer
from mlengine.core.features import FeatureSet, compute
from mlengine.core.features.pieces import symbol_pieces
from mlengine.core.metrics.losses import best_constant_loss, row_losses
from mlengine.core.metrics.session_dates import session_dates, steps_to_label_end
from mlengine.core.predictions.usability import ModelAge
from mlengine.core.promotion.gate import (
    COMPARING_POLICIES,
    Champion,
    Decision,
    GateTest,
    decide,
    learning_task,
)
from mlengine.core.promotion.paired_test import gate_test, paired_test
from mlengine.core.training.bounds import GATE_MIN_DATES
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.spec import TrainSpec
from mlengine.core.training.spilled import PIECE_ROWS
from mlengine.core.versions.layout import CANDIDATE_FILE, MODEL_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, FeatureSetMismatch, ModelNotFound
from mlengine.services.training.manifest_builder import TrainingResult
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.loader import parse_scorer, require_feature_set
from mlengine.stores.registry.registry import Registry

_KEYS = ["symbol", "timestamp"]
_TIMES = ("timestamp", "label_ends")


@dataclass(frozen=True)
class _ChampionModel:
    """The champion's manifest and its candidate, which has not seen its holdout."""

    manifest: Manifest
    scorer: Scorer
    features: FeatureSet

    @property
    def unseen_since(self) -> datetime:
        """The first feature bar that its candidate was kept from."""
        return max(self.manifest.split.holdout.start, self.manifest.candidate_trained_through)


@dataclass(frozen=True)
class _PairedLosses:
    """Losses row by row on the same rows; `champion` is None where there is no comparison.

    `timestamps` and `label_ends` are microseconds of the epoch.
    """

    timestamps: Moments
    label_ends: Moments
    challenger: Floats
    champion: Floats | None
    constant: float

    @property
    def means(self) -> dict[str, float | None]:
        return {
            "challenger": float(np.mean(self.challenger)),
            "constant": self.constant,
            "champion": None if self.champion is None else float(np.mean(self.champion)),
        }


@dataclass(frozen=True)
class PromotionGate:
    registry: Registry
    feature_sets: Mapping[str, FeatureSet]
    events: EventStore
    max_model_age_days: int = 0

    def decide(self, training: TrainingResult, *, now: datetime) -> Decision:
        """Apply the policy of its spec; every loss of the decision is about the same rows.

        Raises DatabaseUnavailable when the history can't be read.
        """
        spec = training.spec
        champion, model = self._load_champion(training, now)
        paired = _paired_losses(training, _common_rows(training, model) if model else None)
        if champion and not champion.refusal and paired.champion is None:
            champion = replace(champion, refusal="not_enough_common_bars")
        return decide(
            spec.activate,
            champion=champion,
            losses=paired.means,
            test=self._test(spec, champion, paired),
            margin=spec.gate_margin,
            reproducible=spec.is_reproducible,
        )

    def _load_champion(
        self, training: TrainingResult, now: datetime
    ) -> tuple[Champion | None, _ChampionModel | None]:
        """Who serves, with its model; a champion without a model has its refusal."""
        generation = None
        try:
            active = self.registry.active.read()
            if active is None:
                return None, None
            generation = active.generation
            manifest = self.registry.manifest(active.version)
            features = require_feature_set(self.feature_sets, manifest)
            name = CANDIDATE_FILE if CANDIDATE_FILE in manifest.files else MODEL_FILE
            scorer = parse_scorer(active.version, name, self.registry.read(active.version, name))
        except FeatureSetMismatch as other:
            return Champion(other.version, generation, "not_comparable"), None
        except (ArtifactCorrupt, ModelNotFound) as refusal:
            return Champion(refusal.version, generation, "champion_unusable"), None
        lost = self.events.newest("skill_lost", version=manifest.version) is not None
        ageing = ModelAge(manifest.created_at, self.max_model_age_days).is_ageing(now)
        champion = Champion(manifest.version, generation, has_lost_skill=lost, is_ageing=ageing)
        task = learning_task(manifest.spec, universe_sha256=manifest.data.universe_sha256)
        universe_sha256 = training.bars.universe_sha256
        if task != learning_task(training.spec, universe_sha256=universe_sha256):
            return replace(champion, refusal="not_comparable"), None
        if manifest.candidate_fingerprint == training.candidate.fitted.fingerprint:
            champion = replace(champion, refusal="identical")
        return champion, _ChampionModel(manifest, scorer, features)

    def _test(
        self, spec: TrainSpec, champion: Champion | None, paired: _PairedLosses
    ) -> GateTest | None:
        """None where the policy asks for none or the two can't be compared.

        Nor is one made for a model that it could not promote: each counts against the next.
        """
        if not spec.is_reproducible:
            return None
        if spec.activate not in COMPARING_POLICIES or champion is None or champion.refusal:
            return None
        if champion.generation is None or paired.champion is None:
            return None
        test = paired_test(
            paired.timestamps,
            paired.label_ends,
            champion=paired.champion,
            challenger=paired.challenger,
        )
        decisions = self.events.count_gate_tests(champion.generation) + 1
        return gate_test(test, rows=len(paired.challenger), decisions=decisions)


def _common_rows(
    training: TrainingResult, champion: _ChampionModel
) -> tuple[Indices, Floats] | None:
    """The holdout's rows on which both can be judged, and the champion's scores there.

    None with too few dates. A row needs a full window of the champion's features too.
    """
    spec, frame, rows = training.spec, training.dataset.frame, training.candidate.rows
    trained = cast("datetime", frame["label_ends"][rows.fit_and_early_stop].max())
    held_out = (
        frame[rows.test]
        .select(*_KEYS, "label_ends")
        .with_row_index("row")
        .filter(pl.col("timestamp") >= max(champion.unseen_since, trained))
    )
    scored = pl.concat(
        _scored(piece, champion, held_out)
        for piece in symbol_pieces(training.bars.frame, rows=PIECE_ROWS)
    ).sort("row")
    if not _are_enough(scored, spec):
        return None
    return scored["row"].cast(pl.Int64).to_numpy(), scored["score"].to_numpy()


def _scored(bars: pl.DataFrame, champion: _ChampionModel, held_out: pl.DataFrame) -> pl.DataFrame:
    """The held out rows of some symbols with a full window of the champion's features.

    With the champion's `score` beside their keys: the features of all are never held at once.
    """
    names = champion.features.names
    rows = held_out.join(_scorable(bars, champion.features), on=_KEYS, maintain_order="left")
    scores = champion.scorer.score(Dataset(rows, names).matrix())
    return rows.drop(names).with_columns(pl.Series("score", scores, pl.Float64))


def _are_enough(rows: pl.DataFrame, spec: TrainSpec) -> bool:
    """Whether a test can be made of some rows with their `label_ends`.

    `gate_min_dates` counts session dates. Of intraday bars so many of one symbol are enough, on the
    fewest dates that may be asked for.
    """
    timestamps, label_ends = (rows[name].dt.epoch("us").to_numpy() for name in _TIMES)
    dates = len(np.unique(session_dates(timestamps)))
    if not dates or dates <= 2 * steps_to_label_end(timestamps, label_ends):
        return False
    longest = rows.group_by("symbol").len()["len"].max()
    bars = longest if isinstance(longest, int) else 0
    fewest, needed = GATE_MIN_DATES[0], spec.gate_min_dates
    return dates >= needed or (dates >= fewest and bars >= needed)


def _paired_losses(
    training: TrainingResult, common: tuple[Indices, Floats] | None
) -> _PairedLosses:
    """On the common rows, or where there are none on the whole holdout and without a champion."""
    objective, challenger, dataset = training.spec.objective, training.candidate, training.dataset
    rows, champion_scores = common or (np.arange(len(challenger.scores)), None)
    judged = challenger.rows.test[rows]
    all_labels = dataset.column("label")
    losses = partial(row_losses, objective, labels=all_labels[judged])
    return _PairedLosses(
        timestamps=dataset.times("timestamp")[judged],
        label_ends=dataset.times("label_ends")[judged],
        challenger=losses(scores=challenger.scores[rows]),
        champion=None if champion_scores is None else losses(scores=champion_scores),
        constant=best_constant_loss(
            objective,
            labels=all_labels[judged],
            trained=all_labels[challenger.rows.fit_and_early_stop],
        ),
    )


def _scorable(bars: pl.DataFrame, features: FeatureSet) -> pl.DataFrame:
    """The features of every bar that has a full window of them."""
    has_features = pl.any_horizontal(pl.col(features.names).is_not_null())
    return compute(bars, features).filter(has_features)
