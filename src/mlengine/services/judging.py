"""Champion and challenger on the rows of the challenger's holdout that neither was trained on.

What the champion was trained on ends with `candidate_trained_through`, the last close of its
training labels. The purge between train and holdout asks for no more than that the label of a
training row has ended by the first feature bar beyond, so the same is asked here: a row counts
when its feature bar is not before that close. An ordinary retraining on the same dates so keeps
its whole holdout. `selected_through` has no part in this: a champion that was once chosen by
these very dates has an advantage on them, but a small one (one choice, no fitting), and without
them no scheduled retraining could ever be compared; the manifest says when that happened, and
`in_sample` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from mlengine.core import metrics
from mlengine.core.arrays import Floats, Rows
from mlengine.core.dataset import Dataset
from mlengine.core.experiment import Judged
from mlengine.core.features import FeatureSet, compute
from mlengine.core.gate import Champion, Decision, decide
from mlengine.core.manifest import Manifest
from mlengine.core.model import Scorer
from mlengine.core.train_spec import TrainSpec
from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.stores.registry import Registry

_FEWEST_DATES = 30


@dataclass(frozen=True)
class _Compared:
    """The champion, and the rows of the holdout that the losses are about."""

    champion: Champion | None
    rows: Rows


@dataclass(frozen=True)
class Judge:
    registry: Registry
    feature_sets: Mapping[str, FeatureSet]

    def decide(
        self, spec: TrainSpec, *, bars: pl.DataFrame, dataset: Dataset, challenger: Judged
    ) -> Decision:
        """Apply the policy of `spec`; every loss of the decision is about the same rows.

        Those are the holdout's, less what the champion was trained on. Where that leaves fewer
        than 30 dates the two are not compared.
        """
        found = self._champion(spec, bars, dataset, challenger)
        rows = found.rows
        outcomes = challenger.outcomes.at(rows)
        return decide(
            spec.activate,
            challenger_loss=metrics.loss(
                spec.objective, outcomes=outcomes, scores=challenger.scores[rows]
            ),
            challenger_fingerprint=challenger.fitted.fingerprint,
            constant_loss=metrics.constant_loss(
                spec.objective, outcomes=outcomes, baseline=challenger.baseline
            ),
            champion=found.champion,
        )

    def _champion(
        self, spec: TrainSpec, bars: pl.DataFrame, dataset: Dataset, challenger: Judged
    ) -> _Compared:
        keys = dataset.frame[challenger.stage.test].select("symbol", "timestamp")
        all_rows = np.arange(keys.height)
        try:
            active = self.registry.active.read()
            if active is None:
                return _Compared(None, all_rows)
            manifest = self.registry.manifest(active.version)
            scorer = self._scorer(manifest)
        except (ArtifactCorrupt, ModelNotFound) as refusal:
            return _Compared(Champion(refusal.version, "", None, "champion_unusable"), all_rows)
        champion = Champion(manifest.version, manifest.candidate_fingerprint, None)
        if scorer is None or not _same_question(manifest, spec):
            return _Compared(champion, all_rows)
        rows = _unseen(keys["timestamp"], manifest.candidate_trained_through)
        if rows is None:
            return _Compared(replace(champion, reason="champion_saw_holdout"), all_rows)
        scores = scorer.score(self._features(manifest, bars, keys[rows]))
        loss = metrics.loss(spec.objective, outcomes=challenger.outcomes.at(rows), scores=scores)
        return _Compared(replace(champion, loss=loss), rows)

    def _scorer(self, manifest: Manifest) -> Scorer | None:
        """The champion's candidate, which has not seen its holdout; None without its features."""
        served = self.feature_sets.get(manifest.feature_set.name)
        if served is None or served.hash != manifest.feature_set.hash:
            return None
        name = "candidate.txt" if "candidate.txt" in manifest.files else "model.txt"
        text = self.registry.read(manifest.version, name)
        try:
            return Scorer.from_text(text.decode())
        except ValueError:
            raise ArtifactCorrupt(manifest.version, f"{name} is not a LightGBM model") from None

    def _features(self, manifest: Manifest, bars: pl.DataFrame, keys: pl.DataFrame) -> Floats:
        feature_set = self.feature_sets[manifest.feature_set.name]
        rows = keys.join(
            compute(bars, feature_set),
            on=["symbol", "timestamp"],
            how="left",
            maintain_order="left",
        )
        return Dataset(rows, feature_set.names).matrix()


def _same_question(manifest: Manifest, spec: TrainSpec) -> bool:
    theirs = (
        manifest.objective,
        manifest.horizon_bars,
        manifest.label_delay_bars,
        manifest.interval,
    )
    return theirs == (spec.objective, spec.horizon_bars, spec.label_delay_bars, spec.interval)


def _unseen(timestamps: pl.Series, trained_through: datetime) -> Rows | None:
    """The rows whose label begins where the champion's training ended, or later.

    None when dates had to be left out and too few remain.
    """
    unseen = timestamps >= trained_through
    if not unseen.all() and timestamps.filter(unseen).n_unique() < _FEWEST_DATES:
        return None
    return np.flatnonzero(unseen.to_numpy())
