"""What a version's live predictions are held against: its manifest, and rows it had not seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from mlengine.core.monitoring.skill.evidence import SkillTerms, skill_terms
from mlengine.core.monitoring.skill.report import SkillRecord, start_record
from mlengine.core.outcomes.performance import Judge, ScoredOutcomes, daily_gains
from mlengine.core.timestamps import microseconds
from mlengine.core.versions.layout import HOLDOUT_FILE, OUT_OF_FOLD_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.services.outcomes.reader import label_terms
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import table_files

_JUDGED = ("symbol", "timestamp", "label", "forward_return", "score")
_MOST_KEPT = 64
# A fold's model that has learnt from a smaller share of the candidate's rows is another model.
_LEAST_LEARNT = 0.4


def judge_of(manifest: Manifest) -> Judge:
    """By the figures of the training."""
    spec = manifest.spec
    return Judge(label_terms(manifest), manifest.base_rate, spec.cost_bps, spec.seed)


@dataclass(frozen=True)
class UnseenRowsReader:
    """Reads what a version was judged by; raises ArtifactCorrupt or ModelNotFound.

    `_kept` has the terms of versions, which never change.
    """

    registry: Registry
    _kept: dict[str, tuple[SkillTerms | None, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def read(self, manifest: Manifest) -> ScoredOutcomes:
        """Tests of the folds, and the holdout; where labels end is not known there.

        Each row has the score of a model that had not seen it. Folds count whose model has learnt
        from two fifths of the candidate's rows or more, by which alone they are chosen. A version
        whose folds were kept without labels has its holdout alone.
        """
        tables = [self._table(manifest, HOLDOUT_FILE)]
        if OUT_OF_FOLD_FILE in manifest.files:
            folds = self._table(manifest, OUT_OF_FOLD_FILE)
            counted = folds.filter(pl.col("fold").is_in(_folds_that_count(manifest)))
            tables += [counted] if set(_JUDGED) <= set(folds.columns) else []
        rows = pl.concat(table.select(_JUDGED) for table in tables).sort("timestamp", "symbol")
        unknown = np.full(rows.height, np.nan)
        return ScoredOutcomes(
            symbols=rows["symbol"].to_numpy().astype(np.str_),
            timestamps=rows["timestamp"].dt.epoch("us").to_numpy(),
            label_ends=rows["timestamp"].dt.epoch("us").to_numpy(),
            scores=rows["score"].to_numpy(),
            labels=rows["label"].to_numpy(),
            forward_returns=rows["forward_return"].to_numpy(),
            last_returns=unknown,
            other_scores=unknown,
        )

    def skill_terms(self, manifest: Manifest) -> tuple[SkillTerms | None, int]:
        """By the daily gains of these rows; and how many dates labels reach ahead."""
        if manifest.version not in self._kept:
            judge, rows = judge_of(manifest), self.read(manifest)
            steps = steps_ahead(rows, label_bars=judge.terms.label_bars)
            held_out = rows.timestamps >= microseconds(manifest.split.holdout.start)
            terms = skill_terms(
                daily_gains(rows, judge),
                steps_ahead=steps,
                fall=judge.fall,
                holdout_dates=len(np.unique(rows.days[held_out])),
            )
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[manifest.version] = terms, steps
        return self._kept[manifest.version]

    def record(self, manifest: Manifest, kept: SkillRecord | None) -> SkillRecord:
        """What is kept of a version's skill, or how it starts; likewise if it lacks terms."""
        if kept and kept.terms:
            return kept
        terms, steps = self.skill_terms(manifest)
        started = start_record(terms, steps_ahead=steps)
        return replace(kept, terms=terms, state=started.state) if kept else started

    def _table(self, manifest: Manifest, name: str) -> pl.DataFrame:
        return table_files.from_parquet(self.registry.read(manifest.version, name))


def _folds_that_count(manifest: Manifest) -> list[int]:
    learnt = manifest.split.fit.rows + manifest.split.stop.rows
    return [fold.fold for fold in manifest.folds if fold.train_rows >= _LEAST_LEARNT * learnt]


def steps_ahead(outcomes: ScoredOutcomes, *, label_bars: int) -> int:
    """After how many dates the outcome of a date is known, by how many bars a date has."""
    stamps = np.unique(outcomes.timestamps)
    days = np.unique(stamps // 86_400_000_000)
    bars_a_date = max(round(len(stamps) / max(len(days), 1)), 1)
    within = -(-label_bars // bars_a_date)
    return within if bars_a_date == 1 else within + 1
