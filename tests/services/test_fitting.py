import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.core.features.planted import planted
from tests.core.small_features import SMALL, SMALLER, SPEC
from tests.factories import START, panel, random_bars

from mlengine.core import manifest as manifests
from mlengine.core.bars import BarsReport, CleanBars, panel_hash
from mlengine.core.features import ALPHA158, BUILTIN
from mlengine.core.metrics import auc, log_loss
from mlengine.core.model import Scorer, fingerprint
from mlengine.errors import TrainingFailed, UnknownSymbol, UpstreamUnavailable
from mlengine.services.fitting import FittingService
from mlengine.stores.registry import Registry

NOW = datetime(2024, 6, 1, tzinfo=UTC)
LEAKING = planted(pl.col("close").shift(-1) / pl.col("close"), 2)
SETS = {"small": SMALL, "smaller": SMALLER, "planted": LEAKING}


class InMemoryHistory:
    """Bars of known symbols; the newest `bars` of them, as the bar service gives them."""

    def __init__(self, bars: pl.DataFrame) -> None:
        self._bars = bars

    def history(self, symbol, *, bars, as_of, now):
        assert (as_of, now) == (None, NOW)
        frame = self._bars.filter(pl.col("symbol") == symbol)
        if symbol == "DOWN":
            raise UpstreamUnavailable("no route")
        if frame.is_empty() and symbol != "EMPTY":
            raise UnknownSymbol(symbol)
        frame = frame.tail(bars) if bars else frame
        return CleanBars(frame, BarsReport(frame.height, {"duplicate": 1}, {"unfinished": 2}))


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models" / "main")


@pytest.fixture
def fit(registry):
    def fit(bars=None, *, progress=lambda _: None, threads=1, rounds=10, **change):
        history = InMemoryHistory(panel(3, rows=400) if bars is None else bars)
        service = FittingService(history, SETS, registry, threads, rounds)
        spec = dataclasses.replace(SPEC, **change)
        return service.fit(spec, run_id="run-1", actor="admin", now=NOW, progress=progress)

    return fit


def _publish(registry, candidate, *, activate=True):
    files = {"model.txt": candidate.model_text.encode()}
    if candidate.candidate_text:
        files["candidate.txt"] = candidate.candidate_text.encode()
    manifest = registry.publish(candidate.manifest, files, fence=lambda: None)
    if activate:
        registry.activate(manifest.version, actor="t", reason="t", now=NOW)
    return manifest


def test_a_candidate_can_be_published_and_read_back(fit, registry):
    candidate = fit()
    manifest = _publish(registry, candidate)
    assert registry.manifest("v1") == manifest
    assert manifest.gate.reason == "first_model"
    assert manifest.gate.promote
    assert (manifest.run_id, manifest.actor, manifest.created_at) == ("run-1", "admin", NOW)
    assert manifest.fingerprint == fingerprint(candidate.model_text)
    assert manifest.candidate_fingerprint == manifest.fingerprint
    assert candidate.candidate_text is None


def test_a_model_can_be_trained_on_alpha158(registry):
    history = InMemoryHistory(panel(2, rows=300))
    service = FittingService(history, BUILTIN, registry, 1, 5)
    spec = dataclasses.replace(SPEC, symbols=("S00", "S01"), feature_set="alpha158")
    candidate = service.fit(spec, run_id="run-1", actor="t", now=NOW, progress=lambda _: None)
    assert candidate.manifest.feature_set.features == ALPHA158.names
    assert set(candidate.manifest.importances) == set(ALPHA158.names)
    assert candidate.manifest.data.labelled_rows == 2 * (300 - 60 - 5)


def test_the_manifest_says_what_the_model_was_made_of(fit):
    manifest = fit().manifest
    bars = panel(3, rows=400)
    assert manifest.data.bars_sha256 == panel_hash(bars)
    assert (manifest.data.rows, manifest.data.labelled_rows) == (1200, 3 * (400 - 5 - 5))
    assert manifest.data.symbols == ("S00", "S01", "S02")
    assert manifest.data.start == START
    assert manifest.data.end == START + timedelta(days=399)
    assert manifest.data.bars_report == manifests.BarsEntry(
        1200, {"duplicate": 3}, {"unfinished": 6}
    )
    assert manifest.feature_set.hash == SMALL.hash
    assert manifest.feature_set.features == SMALL.names
    assert set(manifest.importances) == set(SMALL.names)
    assert [fold.fold for fold in manifest.folds] == [1, 2]
    assert {"auc", "log_loss", "brier", "accuracy", "ic_time"} < set(manifest.metrics)
    assert manifest.split.purged_rows == 12
    assert set(manifest.libraries) == {"lightgbm", "mlengine", "numpy", "polars", "python"}


def test_trained_through_is_the_last_bar_that_a_training_label_used(fit):
    manifest = fit().manifest
    # 390 dates with labels from day 5 on, 78 of them held out, from day 317.
    assert manifest.split.holdout.start == START + timedelta(days=317)
    assert manifest.split.holdout.end == START + timedelta(days=394)
    assert manifest.trained_through == START + timedelta(days=317)
    assert manifest.candidate_trained_through == manifest.trained_through
    assert manifest.seen_through == manifest.trained_through


def test_the_metrics_can_be_made_again_from_the_holdout_frame(fit):
    candidate = fit()
    holdout = candidate.holdout
    assert holdout.columns == ["symbol", "timestamp", "label", "forward_return", "score"]
    assert holdout.height == candidate.manifest.split.holdout.rows
    again = auc(holdout["label"].to_numpy(), holdout["score"].to_numpy())
    assert again == candidate.manifest.metrics["auc"].value


def test_the_manifest_judges_the_candidate_and_every_fold(fit):
    manifest = fit(cost_bps=7.0, test_size=0.3).manifest
    verdict, auc_measure = manifest.verdict, manifest.metrics["auc"]
    assert (verdict.metric, verdict.null) == ("auc", 0.5)
    assert (verdict.value, verdict.low, verdict.high) == (
        auc_measure.value,
        auc_measure.low,
        auc_measure.high,
    )
    assert verdict.low < verdict.value < verdict.high
    assert (manifest.bootstrap.block_dates, manifest.bootstrap.draws) == (20, 1000)
    for judged, part in ((manifest, manifest.split.holdout), *((f, f) for f in manifest.folds)):
        rows = part.rows if judged is manifest else judged.test_rows
        assert sum(each.rows for each in judged.calibration.bins) == rows
        assert (judged.sign_rule.bars, judged.sign_rule.cost_bps) == (rows / 3, 7.0)


def test_a_holdout_that_was_looked_at_before_is_counted(fit, registry):
    assert fit().manifest.holdout_reused_by == 0
    for _ in range(2):
        _publish(registry, fit(activate="never"), activate=False)
    assert fit().manifest.holdout_reused_by == 2


def test_the_reference_holds_the_rows_that_the_served_model_was_trained_on(fit):
    candidate = fit()
    reference = candidate.reference
    split = candidate.manifest.split
    assert reference.columns == ["symbol", "timestamp", *SMALL.names, "prediction"]
    assert reference.height == split.fit.rows + split.stop.rows
    matrix = reference.select(pl.col(SMALL.names).fill_null(float("nan"))).to_numpy()
    scores = Scorer.from_text(candidate.model_text).score(matrix)
    assert scores.tolist() == reference["prediction"].to_list()


def test_a_lookback_limits_the_bars_of_each_symbol(fit):
    manifest = fit(lookback=300).manifest
    assert manifest.data.start == START + timedelta(days=100)
    assert manifest.data.rows == 900


def test_the_same_bars_and_seed_give_the_same_model_on_one_and_two_threads(fit):
    first, second, other = fit(threads=1), fit(threads=2), fit(seed=7)
    assert first.manifest.fingerprint == second.manifest.fingerprint
    assert first.manifest.metrics == second.manifest.metrics
    assert first.reference.equals(second.reference)
    assert other.manifest.fingerprint != first.manifest.fingerprint


def test_returns_can_be_learnt_too(fit):
    manifest = fit(objective="return").manifest
    assert {"mse", "mae", "ic_time", "hit_rate"} < set(manifest.metrics)
    assert manifest.metrics["rank_ic"].reason == "no date has 10 symbols"
    assert (manifest.verdict.metric, manifest.calibration) == ("ic_time", None)
    assert manifest.label.kind == "forward_return"


def test_a_refit_is_served_and_the_metrics_stay_the_candidates(fit):
    plain, full = fit(), fit(refit="full")
    assert full.candidate_text == plain.model_text
    assert full.manifest.metrics == plain.manifest.metrics
    assert full.manifest.served == "refit"
    assert full.manifest.candidate_fingerprint == plain.manifest.fingerprint
    assert full.manifest.fingerprint == fingerprint(full.model_text)
    assert full.manifest.fingerprint != plain.manifest.fingerprint
    assert full.manifest.candidate_trained_through == plain.manifest.trained_through
    assert full.manifest.trained_through == START + timedelta(days=399)
    assert full.reference.height == full.manifest.data.labelled_rows
    assert "metrics describe candidate.txt" in full.manifest.remarks[-1]


def test_unknown_empty_and_short_symbols_are_skipped_and_named(fit):
    bars = pl.concat([panel(2, rows=400), random_bars("SHORT", rows=9)])
    manifest = fit(bars, symbols=("NOPE", "S00", "EMPTY", "SHORT", "S01")).manifest
    assert manifest.data.symbols == ("S00", "S01")
    assert [(s.symbol, s.reason) for s in manifest.data.skipped_symbols] == [
        ("NOPE", "the upstream knows no such symbol"),
        ("EMPTY", "no final bars"),
        ("SHORT", "too few bars for one row"),
    ]


def test_a_symbol_that_only_the_holdout_holds_is_not_called_trained_on(fit):
    young = random_bars("YOUNG", rows=40, start=START + timedelta(days=360))
    manifest = fit(pl.concat([panel(2, rows=400), young]), symbols=("S00", "S01", "YOUNG")).manifest
    assert manifest.data.symbols == ("S00", "S01")
    assert manifest.data.holdout_only_symbols == ("YOUNG",)
    assert manifest.data.skipped_symbols == ()


def test_no_symbol_left_fails_the_training_by_name(fit):
    with pytest.raises(TrainingFailed, match="NOPE, EMPTY"):
        fit(symbols=("NOPE", "EMPTY"))


def test_too_few_bars_fail_the_training(fit):
    with pytest.raises(TrainingFailed, match="no symbol has the 11 bars"):
        fit(panel(3, rows=10))
    with pytest.raises(TrainingFailed, match="too little history"):
        fit(panel(3, rows=24))


def test_an_unknown_feature_set_fails_the_training(fit):
    with pytest.raises(TrainingFailed, match="'big'; known are planted, small, smaller"):
        fit(feature_set="big")


def test_a_feature_set_that_leaks_fails_the_training(fit):
    with pytest.raises(TrainingFailed, match=r"'planted' is refused: 'leak' fails .* at S0"):
        fit(feature_set="planted")


def test_an_upstream_that_is_down_ends_the_run_with_its_own_error(fit):
    with pytest.raises(UpstreamUnavailable):
        fit(symbols=("S00", "DOWN"))


def test_progress_goes_through_all_stages_and_never_falls(fit):
    seen = []
    fit(progress=seen.append)
    stages = list(dict.fromkeys(p.stage for p in seen))
    assert stages == ["bars", "features", "folds", "fit", "publish"]
    percents = [p.percent for p in seen]
    assert percents == sorted(percents)
    assert percents[0] == 0.0


def test_what_the_progress_callback_raises_ends_the_run(fit):
    class Stopped(Exception):
        pass

    def stop(progress):
        if progress.stage == "fit":
            raise Stopped

    with pytest.raises(Stopped):
        fit(progress=stop)


def test_a_model_of_one_tree_is_called_so(fit):
    # Labels that nothing can foretell, and one round at most.
    manifest = fit(rounds=1).manifest
    assert manifest.best_iteration == 1
    assert manifest.remarks == (
        "one tree: early stopping found nothing better than the first round",
    )


def test_zero_returns_are_down_and_their_share_is_told(fit):
    still = random_bars("S00", rows=400).with_columns(
        pl.when(pl.int_range(400) < 100).then(50.0).otherwise(pl.col("close")).alias("close")
    )
    manifest = fit(still, symbols=("S00",)).manifest
    assert manifest.zero_share == pytest.approx(90 / 390)


def test_no_number_of_a_manifest_is_nan(fit):
    rising = random_bars("S00", rows=400).with_columns(
        (100.0 * 1.01 ** pl.int_range(400)).alias("close")
    )
    manifest = fit(rising, symbols=("S00",)).manifest
    assert manifest.metrics["auc"].value is None
    assert manifest.base_rate == 1.0
    assert manifests.parse(manifests.dump(manifest)) == manifest


def test_the_same_model_again_is_published_but_not_promoted(fit, registry):
    _publish(registry, fit())
    gate = fit().manifest.gate
    assert (gate.promote, gate.reason, gate.champion) == (False, "identical", "v1")
    assert gate.losses["champion"] == gate.losses["challenger"]


def _drifting(seed):
    """Bars whose next five days follow the last five."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.normal(0.0, 0.02, 60), 10)[:400] + rng.normal(0.0, 0.002, 400)
    close = 100.0 * np.exp(np.cumsum(steps))
    return random_bars("S00", rows=400).with_columns(
        pl.Series("close", close), pl.Series("high", close * 1.01), pl.Series("low", close * 0.99)
    )


def test_a_better_challenger_is_promoted_and_the_choice_is_remembered(fit, registry):
    bars = _drifting(3)
    poor = _publish(registry, fit(bars, symbols=("S00",), rounds=1))
    manifest = fit(bars, symbols=("S00",), rounds=60).manifest
    losses: Mapping[str, float | None] = manifest.gate.losses
    assert manifest.gate.reason == "better_than_champion"
    assert losses["champion"] == poor.metrics["log_loss"].value
    assert losses["challenger"] == manifest.metrics["log_loss"].value
    assert losses["constant"] == manifest.metrics["log_loss"].baseline
    # The holdout's labels had a say in what serves.
    assert manifest.selected_through == START + timedelta(days=399)
    assert manifest.seen_through == manifest.selected_through > manifest.trained_through


def test_a_champion_with_other_features_is_judged_on_the_same_rows(fit, registry):
    champion = _publish(registry, fit(feature_set="smaller"))
    gate = fit().manifest.gate
    assert gate.champion == champion.version
    assert gate.losses["champion"] != gate.losses["challenger"]
    assert gate.losses["champion"] == pytest.approx(champion.metrics["log_loss"].value, abs=0.01)


def test_a_refitted_champion_is_judged_by_its_candidate(fit, registry):
    champion = _publish(registry, fit(refit="full"))
    gate = fit().manifest.gate
    assert gate.reason == "identical"
    assert gate.losses["champion"] == champion.metrics["log_loss"].value


def _losses(candidate, *, since):
    holdout = candidate.holdout.filter(pl.col("timestamp") >= since)
    assert holdout.height
    ups = holdout["label"].to_numpy()
    constant = np.full(holdout.height, candidate.manifest.base_rate)
    return log_loss(ups, holdout["score"].to_numpy()), log_loss(ups, constant)


def test_a_champion_is_judged_only_on_what_it_was_not_trained_on(fit, registry):
    champion = fit(test_size=0.1)
    manifest = _publish(registry, champion)
    challenger = fit(test_size=0.2)
    gate = challenger.manifest.gate
    since = manifest.candidate_trained_through
    assert since == manifest.split.holdout.start > challenger.manifest.split.holdout.start
    # The champion's own holdout is all that it has not seen: what it was measured on.
    assert gate.losses["champion"] == manifest.metrics["log_loss"].value
    challenger_loss, constant_loss = _losses(challenger, since=since)
    assert gate.losses["challenger"] == challenger_loss
    assert gate.losses["constant"] == constant_loss
    assert gate.losses["challenger"] != challenger.manifest.metrics["log_loss"].value


@pytest.mark.parametrize("refit", ["none", "full"])
def test_a_champion_that_saw_the_holdout_stays(fit, registry, refit):
    _publish(registry, fit(test_size=0.05, refit=refit))
    manifest = fit(test_size=0.2).manifest
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "champion_saw_holdout")
    assert manifest.gate.losses["champion"] is None
    assert manifest.gate.losses["challenger"] == manifest.metrics["log_loss"].value
    assert manifest.selected_through is None


def test_a_champion_chosen_on_the_same_holdout_is_compared_again(fit, registry):
    bars = _drifting(3)
    _publish(registry, fit(bars, symbols=("S00",), rounds=1))
    chosen = _publish(registry, fit(bars, symbols=("S00",), rounds=60))
    assert chosen.selected_through is not None
    gate = fit(bars, symbols=("S00",), rounds=30).manifest.gate
    assert gate.losses["champion"] == chosen.metrics["log_loss"].value


def test_a_short_holdout_that_nobody_saw_is_enough_to_compare(fit, registry):
    _publish(registry, fit(test_size=0.05))
    assert fit(test_size=0.05, seed=3).manifest.gate.losses["champion"] is not None


@pytest.mark.parametrize(
    "change", [{"objective": "return"}, {"horizon_bars": 3}, {"label_delay_bars": 1}]
)
def test_a_champion_that_answers_another_question_stays(fit, registry, change):
    _publish(registry, fit())
    gate = fit(**change).manifest.gate
    assert (gate.promote, gate.reason) == (False, "not_comparable")


def test_a_champion_whose_features_are_gone_stays(fit, registry):
    _publish(registry, fit())
    history = InMemoryHistory(panel(3, rows=400))
    changed = {"small": dataclasses.replace(SMALL, version=2)}
    manifest = (
        FittingService(history, changed, registry, 1, 5)
        .fit(SPEC, run_id="r", actor="a", now=NOW, progress=lambda _: None)
        .manifest
    )
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "not_comparable")
    assert manifest.selected_through is None


@pytest.mark.parametrize("name", ["manifest.json", "model.txt"])
def test_a_corrupt_champion_is_said_and_stays(fit, registry, name):
    _publish(registry, fit())
    (registry.directory / "v1" / name).write_bytes(b"torn")
    gate = fit().manifest.gate
    assert (gate.promote, gate.reason, gate.champion) == (False, "champion_unusable", "v1")


def test_a_champion_that_is_no_model_is_said_and_stays(fit, registry):
    _publish(registry, dataclasses.replace(fit(), model_text="no model"))
    assert fit().manifest.gate.reason == "champion_unusable"


def test_policies_that_do_not_look_choose_nothing(fit, registry):
    _publish(registry, fit())
    manifest = fit(activate="always", seed=3).manifest
    assert manifest.gate.promote
    assert manifest.selected_through is None
    assert not fit(activate="never", seed=3).manifest.gate.promote
