"""Live outcomes of a version, as if a market had decided them: drawn with a skill, and stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from tests.platforms import make_platform
from tests.published import SIGN_RULE, TRAINED_THROUGH, draft, tiny_files

from mlengine.bootstrap.platform import Platform
from mlengine.core.arrays import Floats
from mlengine.core.outcomes.outcome import Outcome
from mlengine.core.versions.manifest import FoldEntry, Manifest, RowRange
from mlengine.stores.outcomes.answers import Answer
from mlengine.stores.outcomes.store import OtherScore, OutcomeStore
from mlengine.stores.system import table_files

FIRST = datetime(2021, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SYMBOLS = tuple(f"S{number:02d}" for number in range(12))
DATES, HOLDOUT_DATES, FOLD_DATES = 130, 400, 600
NOW = FIRST + 200 * DAY


def drawn(
    dates: int, seed: int, *, skill: float, objective: str = "direction"
) -> tuple[Floats, Floats]:
    """(dates, symbols) each: forward returns, and scores that know `skill` of them.

    Scores are chances of a rise, or expected returns.
    """
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 0.01, (dates, len(SYMBOLS)))
    known = skill * returns / 0.01 + rng.normal(0.0, 1.0, returns.shape)
    if objective == "return":
        return returns, 0.01 * skill / (1.0 + skill**2) * known
    return returns, 1.0 / (1.0 + np.exp(-2.0 * skill * known))


def label(forward_return: Floats, objective: str) -> Floats:
    """Of the raw transform."""
    return forward_return if objective == "return" else (forward_return > 0.0).astype(np.float64)


def published_platform(
    folder: Path, objective: str = "direction", *, folds: bytes | None = None
) -> Platform:
    """One whose version v1 forecasts one bar, with a skill of 0.5 on its holdout.

    `folds` is the file of its out-of-fold scores.
    """
    platform = make_platform(folder, models=0)
    spec = replace(draft().spec, objective=objective, horizon_bars=1)
    entry = replace(draft().label, horizon_bars=1)
    split = replace(draft().split, holdout=RowRange(TRAINED_THROUGH, FIRST, 1))
    entry_of_fold = FoldEntry(
        *(1, *[TRAINED_THROUGH] * 4, 1, 1, 0, 5, {}, None, SIGN_RULE),
    )
    manifest: Manifest = replace(
        draft(),
        objective=objective,
        spec=spec,
        horizon_bars=1,
        label=entry,
        split=split,
        folds=() if folds is None else (entry_of_fold,),
    )
    files = {**tiny_files(objective=objective), "holdout.parquet": holdout(0.5, objective)}
    files |= {} if folds is None else {"out_of_fold.parquet": folds}
    platform.registry.publish(manifest, files, fence=lambda: None)
    return platform


def holdout(skill: float, objective: str) -> bytes:
    drawn_rows = drawn(HOLDOUT_DATES, 1, skill=skill, objective=objective)
    return table_files.to_parquet(_unseen(*drawn_rows, first=TRAINED_THROUGH, objective=objective))


def folds(skill: float, *, labelled: bool) -> bytes:
    """Out-of-fold scores of the dates before the holdout; earlier platforms kept no labels."""
    first = TRAINED_THROUGH - FOLD_DATES * DAY
    rows = _unseen(*drawn(FOLD_DATES, 4, skill=skill), first=first, objective="direction")
    rows = rows.with_columns(fold=pl.lit(1, pl.Int32))
    return table_files.to_parquet(rows if labelled else rows.drop("label", "forward_return"))


def _unseen(returns: Floats, scores: Floats, *, first: datetime, objective: str) -> pl.DataFrame:
    columns = {
        "symbol": SYMBOLS * len(returns),
        "timestamp": [first + day * DAY for day in range(len(returns)) for _ in SYMBOLS],
        "label": label(returns.ravel(), objective),
        "forward_return": returns.ravel(),
        "score": scores.ravel(),
    }
    return pl.DataFrame(columns, schema_overrides={"timestamp": pl.Datetime("us", "UTC")})


def score(
    platform: Platform, returns: Floats, scores: Floats, objective: str = "direction"
) -> None:
    """Live outcomes of v1 on these dates, a day later; another version says the constant."""
    store = OutcomeStore(platform.control.database)
    answers = []
    for day in range(len(returns)):
        for at, symbol in enumerate(SYMBOLS):
            bar, number = FIRST + day * DAY, day * len(SYMBOLS) + at + 1
            asked_at = bar + DAY
            answer = Answer(
                *(number, f"p{number}", "v1", symbol, "1d", bar, asked_at),
                *(float(scores[day, at]), 1),
            )
            answers.append((answer, bar + 2 * DAY, bar + 3 * DAY))
    store.take_in(answers, position=len(answers))
    decided, others = [], {}
    for each in store.due(now=NOW, limit=10_000):
        day = (each.pending.bar_timestamp - FIRST) // DAY
        ends = each.pending.bar_timestamp + DAY
        forward = returns[day, SYMBOLS.index(each.pending.symbol)]
        known = float(label(forward, objective)), float(forward)
        decided.append(Outcome(each.pending.id, "scored", None, *known, 0.01, ends))
        others[each.pending.id] = OtherScore("v0", 0.0 if objective == "return" else 0.5)
    store.decide("v1", decided, others, postponed={}, now=NOW)
