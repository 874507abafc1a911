import dataclasses

import numpy as np
import pytest
from tests.core.small_features import SMALL, SPEC
from tests.factories import panel
from tests.one_process_cluster import OneProcessCluster

from mlengine.core.boosting.binning import LabelledRows
from mlengine.core.boosting.model import LightGBMConfig, Scorer, fit
from mlengine.core.runs.progress import ProgressTracker, ignore_progress
from mlengine.core.training.dataset import build
from mlengine.core.training.experiment import fit_without_evaluation, run
from mlengine.core.training.row_plan import plan_rows
from mlengine.errors import TrainingFailed

BARS = panel(3, rows=400)


def _dataset(bars=BARS, objective="direction"):
    return build(bars, SMALL, horizon_bars=5, objective=objective)


def _run(
    dataset,
    *,
    refit=False,
    threads=1,
    objective="direction",
    report=ignore_progress,
    spec=SPEC,
    fan_out=None,
    cluster=None,
):
    params = {"learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 20}
    recipe = LightGBMConfig(
        objective, 42, threads, rounds=20, early_stopping_rounds=5, params=params
    )
    spec = dataclasses.replace(spec, objective=objective)
    return run(
        dataset,
        plan_rows(dataset, spec),
        recipe,
        spec=spec,
        refit=refit,
        tracker=ProgressTracker(report),
        fan_out=fan_out,
        cluster=cluster,
    )


def test_parts_follow_each_other_in_time_and_purge_every_boundary():
    dataset = _dataset()
    ends, starts = dataset.times("label_ends"), dataset.times("timestamp")
    final = plan_rows(dataset, SPEC).candidate
    assert ends[final.fit].max() <= starts[final.early_stop].min()
    assert ends[final.early_stop].max() <= starts[final.test].min()
    # Horizon 5: the four dates before a boundary reach beyond it, for three symbols each.
    assert (len(final.purged_train), len(final.purged_early_stop)) == (12, 12)
    assert len(final.fit_and_early_stop) + len(final.test) + 24 == dataset.frame.height


def test_folds_never_touch_the_holdout():
    dataset = _dataset()
    whole = plan_rows(dataset, SPEC)
    begins = dataset.times("timestamp")[whole.candidate.test].min()
    assert len(whole.folds) == 2
    for fold in whole.folds:
        assert dataset.times("label_ends")[fold.fit_and_early_stop].max() <= begins
        assert dataset.times("label_ends")[fold.test].max() <= begins


def test_too_little_history_is_refused():
    with pytest.raises(TrainingFailed, match="too little history"):
        plan_rows(_dataset(panel(3, rows=20)), SPEC)


def test_the_metrics_describe_the_candidate_on_its_holdout():
    dataset = _dataset()
    candidate = _run(dataset).candidate
    again = Scorer.from_text(candidate.fitted.text).score(dataset.matrix()[candidate.rows.test])
    assert candidate.scores.tobytes() == again.tobytes()
    evaluation = candidate.evaluation
    assert candidate.metrics == evaluation.metrics
    assert evaluation.rows == len(candidate.rows.test) == 3 * evaluation.dates
    assert (evaluation.bootstrap.block_dates, evaluation.bootstrap.seed) == (20, SPEC.seed)
    assert evaluation.sign_rule.cost_bps == SPEC.cost_bps
    ups = dataset.column("label")[candidate.rows.fit_and_early_stop]
    assert candidate.baseline.up_rate == ups.mean()


def test_holdout_bars_do_not_change_the_candidate():
    dataset = _dataset()
    candidate = _run(dataset).candidate
    last = dataset.frame["label_ends"][candidate.rows.fit_and_early_stop].max()
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


def _recipe(rounds=20):
    params = {"learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 20}
    return LightGBMConfig("direction", 42, 1, rounds=rounds, early_stopping_rounds=5, params=params)


def _sample(dataset, rows):
    return LabelledRows(dataset.matrix()[rows], dataset.column("label")[rows])


def test_candidate_and_refit_are_binned_on_their_own_rows():
    dataset = _dataset()
    made = _run(dataset, refit=True)
    final = made.plan.candidate
    train, stop = (_sample(dataset, rows) for rows in (final.fit, final.early_stop))
    alone = fit(_recipe(), names=dataset.feature_names, train=train, early_stop=stop)
    assert made.candidate.fitted.fingerprint == alone.fingerprint
    rounds = made.candidate.fitted.best_iteration
    everything = _sample(dataset, made.plan.refit)
    again = fit(_recipe(rounds), names=dataset.feature_names, train=everything, early_stop=None)
    assert made.refit.fingerprint == again.fingerprint
    assert made.plan.refit.tolist() == list(range(dataset.frame.height))


def test_bars_after_a_fold_do_not_change_it():
    dataset = _dataset()
    first = _run(dataset).folds[0]
    last = dataset.frame["label_ends"][first.rows.test].max()
    frame = BARS.with_columns(BARS["close"].zip_with(BARS["timestamp"] <= last, BARS["open"] * 9))
    changed = _run(_dataset(frame)).folds[0]
    assert changed.fitted.fingerprint == first.fitted.fingerprint
    assert changed.scores.tobytes() == first.scores.tobytes()


def test_a_rolling_window_holds_for_folds_candidate_and_refit():
    dataset = _dataset()
    spec = dataclasses.replace(SPEC, train_window=60)
    whole, rolling = plan_rows(dataset, SPEC), plan_rows(dataset, spec)
    starts = dataset.times("timestamp")
    for stage, full in zip(
        [*rolling.folds, rolling.candidate], [*whole.folds, whole.candidate], strict=True
    ):
        assert stage.test.tolist() == full.test.tolist()
        # 60 dates before the boundary, less the four whose labels reach beyond it, twice.
        assert len(np.unique(starts[stage.fit_and_early_stop])) == 60 - 4 - 4
        assert stage.early_stop[-1] == full.early_stop[-1]
        assert (len(stage.purged_train), len(stage.purged_early_stop)) == (12, 12)
    assert len(np.unique(starts[rolling.refit])) == 60
    assert rolling.refit[-1] == dataset.frame.height - 1
    made = _run(dataset, refit=True, spec=spec)
    assert made.refit.fingerprint != _run(dataset, refit=True).refit.fingerprint


def test_a_repetition_gives_candidate_and_refit_without_the_folds():
    dataset = _dataset()
    made, seen = _run(dataset, refit=True), []
    candidate, refit = fit_without_evaluation(
        dataset,
        plan_rows(dataset, SPEC),
        _recipe(),
        refit=True,
        tracker=ProgressTracker(seen.append),
    )
    assert candidate.fingerprint == made.candidate.fitted.fingerprint
    assert refit.fingerprint == made.refit.fingerprint
    assert {p.stage for p in seen} == {"fit"}


class _Others:
    """Fits the folds like other processes: once they are asked, the newest first."""

    def __init__(self):
        self.seen = []

    def begin(self, work):
        self.seen.append("begin")
        self.fitted = [(fold, work.fit(fold)) for fold in range(len(work.folds), 0, -1)]

    def gather(self, work, tracker):
        self.seen.append("gather")
        assert len(work.folds) == len(self.fitted)
        tracker.repeat()
        yield from self.fitted


def test_folds_that_others_fit_are_those_of_one_process():
    dataset, others, seen = _dataset(), _Others(), []
    alone = _run(dataset, refit=True)
    shared = _run(dataset, refit=True, fan_out=others, report=lambda p: seen.append(p.stage))
    assert [fold.fitted for fold in shared.folds] == [fold.fitted for fold in alone.folds]
    assert [fold.metrics for fold in shared.folds] == [fold.metrics for fold in alone.folds]
    assert shared.candidate.fitted == alone.candidate.fitted
    assert shared.candidate.metrics == alone.candidate.metrics
    assert shared.refit == alone.refit
    assert (others.seen, set(seen)) == (["begin", "gather"], {"folds"})


def test_a_training_without_folds_asks_nobody():
    others = _Others()
    _run(_dataset(), spec=dataclasses.replace(SPEC, folds=0), fan_out=others)
    assert others.seen == []


@pytest.mark.parametrize("objective", ["direction", "return"])
def test_a_cluster_does_every_fit_and_early_stopping_is_as_in_one_process(objective):
    dataset, cluster, seen = _dataset(objective=objective), OneProcessCluster(), []
    alone = _run(dataset, objective=objective, refit=True)
    shared = _run(dataset, objective=objective, refit=True, cluster=cluster, report=seen.append)
    plan = shared.plan
    fits = [*(fold.fit for fold in plan.folds), plan.candidate.fit, plan.refit]
    assert cluster.rows == [len(rows) for rows in fits]
    assert shared.candidate.fitted.best_iteration < 20
    assert shared.candidate.fitted.fingerprint == alone.candidate.fitted.fingerprint
    assert shared.candidate.metrics == alone.candidate.metrics
    assert shared.refit.fingerprint == alone.refit.fingerprint
    # The oldest fold has the bins of all folds; later ones have bins of their own rows here.
    assert shared.folds[0].fitted.fingerprint == alone.folds[0].fitted.fingerprint
    assert [(p.stage, p.fold, p.iteration) for p in seen] == [
        ("folds", 1, 0),
        ("folds", 2, 0),
        ("fit", None, 0),
        ("fit", None, 0),
    ]
