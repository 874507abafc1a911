"""What a version's live predictions are held against, by its manifest and its holdout."""

from dataclasses import dataclass

import numpy as np

from mlengine.core.monitoring.skill.evidence import SkillTerms, skill_terms
from mlengine.core.outcomes.performance import Judge, ScoredOutcomes, daily_gains
from mlengine.core.versions.layout import HOLDOUT_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.services.outcomes.reader import label_terms
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import table_files


def judge_of(manifest: Manifest) -> Judge:
    """By the figures of the training."""
    spec = manifest.spec
    return Judge(label_terms(manifest), manifest.base_rate, spec.cost_bps, spec.seed)


@dataclass(frozen=True)
class HoldoutReader:
    """Reads what a version was judged by; raises ArtifactCorrupt or ModelNotFound."""

    registry: Registry

    def read(self, manifest: Manifest) -> ScoredOutcomes:
        """The holdout with the candidate's scores; where labels end is not known there."""
        content = self.registry.read(manifest.version, HOLDOUT_FILE)
        holdout = table_files.from_parquet(content).sort("timestamp", "symbol")
        unknown = np.full(holdout.height, np.nan)
        return ScoredOutcomes(
            symbols=holdout["symbol"].to_numpy().astype(np.str_),
            timestamps=holdout["timestamp"].dt.epoch("us").to_numpy(),
            label_ends=holdout["timestamp"].dt.epoch("us").to_numpy(),
            scores=holdout["score"].to_numpy(),
            labels=holdout["label"].to_numpy(),
            forward_returns=holdout["forward_return"].to_numpy(),
            last_returns=unknown,
            other_scores=unknown,
        )

    def skill_terms(self, manifest: Manifest) -> tuple[SkillTerms | None, int]:
        """The daily gains of the holdout, and how many dates labels reach ahead."""
        judge, holdout = judge_of(manifest), self.read(manifest)
        steps = steps_ahead(holdout, label_bars=judge.terms.label_bars)
        gains = daily_gains(holdout, judge)
        return skill_terms(gains, steps_ahead=steps, fall=judge.fall), steps


def steps_ahead(outcomes: ScoredOutcomes, *, label_bars: int) -> int:
    """After how many dates the outcome of a date is known, by how many bars a date has."""
    stamps = np.unique(outcomes.timestamps)
    days = np.unique(stamps // 86_400_000_000)
    bars_a_date = max(round(len(stamps) / max(len(days), 1)), 1)
    within = -(-label_bars // bars_a_date)
    return within if bars_a_date == 1 else within + 1
