import pytest

from mlengine.core.runs.progress import Progress, ProgressTracker, ignore_progress


def test_a_whole_training_is_reported_by_stage_fold_and_iteration():
    seen = []
    tracker = ProgressTracker(seen.append)
    tracker.advance("bars", done=0.5)
    tracker.advance("features")
    for fold in (1, 2):
        on_iteration = tracker.round_callback("folds", of=100, fold=fold, folds=2)
        for iteration in range(1, 61):
            on_iteration(iteration)
    tracker.round_callback("fit", of=100)(1)
    tracker.advance("publish", done=1.0)
    assert seen[0] == Progress("bars", 5.0)
    assert seen[1] == Progress("features", 10.0)
    assert seen[2] == Progress("folds", 15.3, fold=1, folds=2, iteration=1)
    assert [p.iteration for p in seen if p.fold == 2] == [1, 10, 20, 30, 40, 50, 60]
    assert seen[-2] == Progress("fit", 75.2, iteration=1)
    assert seen[-1] == Progress("publish", 100.0)


def test_percent_never_goes_down_nor_over_a_hundred():
    seen = []
    tracker = ProgressTracker(seen.append)
    first = tracker.round_callback("fit", of=10)
    for iteration in (10, 1, 10):
        first(iteration)
    tracker.advance("bars", done=0.1)
    tracker.advance("publish", done=7.0)
    percents = [p.percent for p in seen]
    assert percents == sorted(percents) == [95.0, 95.0, 95.0, 95.0, 100.0]


def test_what_the_report_raises_ends_the_run():
    def refuse(progress):
        raise RuntimeError(progress.stage)

    with pytest.raises(RuntimeError, match="features"):
        ProgressTracker(refuse).advance("features")


def test_reports_can_be_ignored():
    ProgressTracker(ignore_progress).advance("bars")
