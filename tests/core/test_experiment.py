import dataclasses

import numpy as np
import pytest
from tests.core.small_features import SMALL, SPEC
from tests.factories import panel

from mlengine.core.dataset import build
from mlengine.core.experiment import plan, run
from mlengine.core.model import Recipe, Scorer
from mlengine.core.progress import Track, ignore
from mlengine.errors import TrainingFailed

BARS = panel(3, rows=400)


def _dataset(bars=BARS, objective="direction"):
    return build(bars, SMALL, horizon_bars=5, objective=objective)


def _run(dataset, *, refit=False, threads=1, objective="direction", report=ignore, spec=SPEC):
    params = {"learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 20}
    recipe = Recipe(objective, 42, threads, rounds=20, early_stopping_rounds=5, params=params)
    spec = dataclasses.replace(spec, objective=objective)
    return run(dataset, plan(dataset, spec), recipe, spec=spec, refit=refit, track=Track(report))


def test_parts_follow_each_other_in_time_and_purge_every_boundary():
    dataset = _dataset()
    ends, starts = dataset.times("label_ends"), dataset.times("timestamp")
    final = plan(dataset, SPEC).final
    assert ends[final.fit].max() <= starts[final.stop].min()
    assert ends[final.stop].max() <= starts[final.test].min()
    # Horizon 5: the four dates before a boundary reach beyond it, for three symbols each.
    assert (final.purged_train, final.purged_stop) == (12, 12)
    assert len(final.train) + len(final.test) + 24 == dataset.frame.height


def test_folds_never_touch_the_holdout():
    dataset = _dataset()
    whole = plan(dataset, SPEC)
    begins = dataset.times("timestamp")[whole.final.test].min()
    assert len(whole.folds) == 2
    for fold in whole.folds:
        assert dataset.times("label_ends")[fold.train].max() <= begins
        assert dataset.times("label_ends")[fold.test].max() <= begins


def test_too_little_history_is_refused():
    with pytest.raises(TrainingFailed, match="too little history"):
        plan(_dataset(panel(3, rows=20)), SPEC)


def test_the_metrics_describe_the_candidate_on_its_holdout():
    dataset = _dataset()
    candidate = _run(dataset).candidate
    again = Scorer.from_text(candidate.fitted.text).score(dataset.matrix()[candidate.stage.test])
    assert candidate.scores.tobytes() == again.tobytes()
    evaluation = candidate.evaluation
    assert candidate.metrics == evaluation.metrics
    assert evaluation.rows == len(candidate.stage.test) == 3 * evaluation.dates
    assert (evaluation.bootstrap.block_dates, evaluation.bootstrap.seed) == (20, SPEC.seed)
    assert evaluation.sign_rule.cost_bps == SPEC.cost_bps
    ups = dataset.column("label")[candidate.stage.train]
    assert candidate.baseline.up_rate == ups.mean()


def test_holdout_bars_do_not_change_the_candidate():
    dataset = _dataset()
    candidate = _run(dataset).candidate
    last = dataset.frame["label_ends"][candidate.stage.train].max()
    frame = BARS.with_columns(BARS["close"].zip_with(BARS["timestamp"] <= last, BARS["open"]))
    changed = _run(_dataset(frame)).candidate
    assert changed.fitted.fingerprint == candidate.fitted.fingerprint
    assert changed.scores.tobytes() != candidate.scores.tobytes()


@pytest.mark.parametrize("objective", ["direction", "return"])
def test_a_training_on_one_and_on_two_threads_is_the_same(objective):
    dataset = _dataset(objective=objective)
    one, two = (
        _run(dataset, threads=threads, objective=objective, refit=True) for threads in (1, 2)
    )
    assert one.candidate.fitted.fingerprint == two.candidate.fitted.fingerprint
    assert one.candidate.evaluation == two.candidate.evaluation
    assert one.refit.fingerprint == two.refit.fingerprint
    assert [f.fitted.fingerprint for f in one.folds] == [f.fitted.fingerprint for f in two.folds]


def test_a_refit_grows_as_many_trees_on_all_rows():
    experiment = _run(_dataset(), refit=True)
    assert experiment.refit.best_iteration == experiment.candidate.fitted.best_iteration
    assert experiment.refit.fingerprint != experiment.candidate.fitted.fingerprint
    assert _run(_dataset()).refit is None


def test_without_folds_there_is_only_the_candidate():
    spec = dataclasses.replace(SPEC, folds=0)
    assert _run(_dataset(), spec=spec).folds == ()


def test_progress_names_fold_and_iteration_and_never_falls():
    seen = []
    _run(_dataset(), report=seen.append, refit=True)
    assert {(p.stage, p.fold, p.folds) for p in seen} == {
        ("folds", 1, 2),
        ("folds", 2, 2),
        ("fit", None, None),
    }
    percents = [p.percent for p in seen]
    assert percents == sorted(percents)
    assert np.all(np.array([p.iteration for p in seen]) >= 1)
