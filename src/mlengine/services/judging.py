"""The champion's loss on the challenger's holdout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.core.dataset import Dataset
from mlengine.core.experiment import Judged
from mlengine.core.features import FeatureSet, compute
from mlengine.core.gate import Champion, Decision, decide
from mlengine.core.manifest import Manifest
from mlengine.core.model import Scorer
from mlengine.core.train_spec import TrainSpec
from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.stores.registry import Registry


@dataclass(frozen=True)
class Judge:
    registry: Registry
    feature_sets: Mapping[str, FeatureSet]

    def decide(
        self, spec: TrainSpec, *, bars: pl.DataFrame, dataset: Dataset, challenger: Judged
    ) -> Decision:
        """Apply the policy of `spec` to a candidate, on the rows of its holdout."""
        outcomes = challenger.outcomes
        return decide(
            spec.activate,
            challenger_loss=metrics.loss(
                spec.objective, outcomes=outcomes, scores=challenger.scores
            ),
            challenger_fingerprint=challenger.fitted.fingerprint,
            constant_loss=metrics.constant_loss(
                spec.objective, outcomes=outcomes, baseline=challenger.baseline
            ),
            champion=self._champion(spec, bars, dataset, challenger),
        )

    def _champion(
        self, spec: TrainSpec, bars: pl.DataFrame, dataset: Dataset, challenger: Judged
    ) -> Champion | None:
        try:
            active = self.registry.active.read()
            if active is None:
                return None
            manifest = self.registry.manifest(active.version)
            scorer = self._scorer(manifest)
        except (ArtifactCorrupt, ModelNotFound) as refusal:
            return Champion(refusal.version, "", None, "champion_unusable")
        if scorer is None or not _same_question(manifest, spec):
            return Champion(manifest.version, manifest.candidate_fingerprint, None)
        keys = dataset.frame[challenger.stage.test].select("symbol", "timestamp")
        scores = scorer.score(self._features(manifest, bars, keys))
        loss = metrics.loss(spec.objective, outcomes=challenger.outcomes, scores=scores)
        return Champion(manifest.version, manifest.candidate_fingerprint, loss)

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
