import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests import garbage
from tests.core.features.planted import planted
from tests.core.small_features import SMALL, SMALLER, SPEC
from tests.factories import START, panel, random_bars
from tests.one_process_cluster import OneProcessCluster

from mlengine.core.bars.bars import BarArrays, BarsReport, CleanBars, panel_hash
from mlengine.core.boosting.model import fingerprint
from mlengine.core.calendars.market import NO_MARKETS
from mlengine.core.features import ALPHA158, BUILTIN
from mlengine.core.metrics import auc
from mlengine.core.monitoring.drift.archive import model_of_arrays, novelty_of_arrays
from mlengine.core.monitoring.drift.windows import WINDOW_DATES
from mlengine.core.monitoring.skill.evidence import skill_terms
from mlengine.core.outcomes.performance import daily_gains
from mlengine.core.versions import data_entry
from mlengine.core.versions import manifest as manifests
from mlengine.errors import TrainingFailed, UnknownSymbol, UpstreamUnavailable
from mlengine.services.outcomes.judging import UnseenRowsReader, judge_of
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import array_files, table_files
from mlengine.stores.training.feature_spill import SpillFolder

NOW = datetime(2024, 6, 1, tzinfo=UTC)
LEAKING = planted(pl.col("close").shift(-1) / pl.col("close"), 2)
LEVEL, *RATIOS = SMALL.features
LEVELS = dataclasses.replace(
    SMALL,
    name="levels",
    features=(dataclasses.replace(LEVEL, scale_free=False), *RATIOS),
)
SETS = {"levels": LEVELS, "small": SMALL, "smaller": SMALLER, "planted": LEAKING}


class InMemoryHistory:
    """Bars of known symbols; the newest `bars` of them, as the bar service gives them."""

    def __init__(self, bars: pl.DataFrame) -> None:
        self._bars = bars

    markets = NO_MARKETS
    adjustment = "none"
    source = SampleMarketData()

    def actions_applied(self, symbol, bars, *, at):  # noqa: ARG002
        return 0

    def history(self, symbol, *, bars, as_of, now):
        assert (as_of, now) == (None, NOW)
        frame = self._bars.filter(pl.col("symbol") == symbol)
        if symbol == "DOWN":
            raise UpstreamUnavailable("no route")
        if frame.is_empty() and symbol != "EMPTY":
            raise UnknownSymbol(symbol)
        frame = frame.tail(bars) if bars else frame
        return CleanBars(
            BarArrays.of(frame), BarsReport(frame.height, {"duplicate": 1}, {"unfinished": 2})
        )


class NoTests:
    """A history without any test of the gate."""

    def count_gate_tests(self, generation):  # noqa: ARG002
        return 0

    def trainings(self):
        return []


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models" / "main")


@pytest.fixture
def fit(registry):
    def fit(
        bars=None,
        *,
        progress=lambda _: None,
        threads=1,
        rounds=10,
        spills=None,
        cluster=None,
        **change,
    ):
        history = InMemoryHistory(panel(3, rows=400) if bars is None else bars)
        service = TrainingPipeline(
            history, SETS, registry, threads, NoTests(), spills=spills, cluster=cluster
        )
        spec = dataclasses.replace(SPEC, rounds=rounds, **change)
        return service.run(spec, run_id="run-1", actor="admin", now=NOW, progress=progress)

    return fit


def _table(candidate, name):
    return table_files.from_parquet(candidate.files[f"{name}.parquet"])


def test_a_candidate_can_be_published_and_read_back(fit, registry):
    candidate = fit()
    manifest = registry.publish(candidate.manifest, candidate.files, fence=lambda: None)
    assert registry.manifest("v1") == manifest
    assert manifest.gate.reason == "first_model"
    assert manifest.gate.promote
    assert (manifest.run_id, manifest.actor, manifest.created_at) == ("run-1", "admin", NOW)
    assert manifest.fingerprint == fingerprint(candidate.files["model.txt"].decode())
    assert manifest.candidate_fingerprint == manifest.fingerprint
    assert "candidate.txt" not in candidate.files


def test_features_on_disk_give_the_same_version(fit, tmp_path):
    spills = SpillFolder(tmp_path / "spill", 0, piece_rows=500, span_rows=300)
    memory, disk = (fit(refit="full", spills=each) for each in (None, spills))
    assert dict(disk.files) == dict(memory.files)
    assert disk.manifest == memory.manifest
    garbage.collect()  # LightGBM's objects may refer to each other, and hold the folder until then
    assert [path.name for path in spills.directory.iterdir()] == [".lock"]


def test_what_a_cluster_fits_is_said_to_be_not_reproducible_and_never_promoted(
    fit, registry, tmp_path
):
    spills, cluster = SpillFolder(tmp_path / "spill", 0, span_rows=300), OneProcessCluster()
    draft = fit(engine="dask", cluster=cluster, spills=spills, activate="always")
    assert len(cluster.rows) == SPEC.folds + 1
    manifest = registry.publish(draft.manifest, draft.files, fence=lambda: None)
    assert not registry.manifest("v1").reproducible
    assert manifest.spec.engine == "dask"
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "not_reproducible")
    remark = manifest.remarks[-1]
    assert "Dask cluster" in remark
    assert "gate never promotes" in remark
    assert fit().manifest.reproducible


def test_a_recipe_for_a_cluster_ends_in_words_where_there_is_none(fit):
    with pytest.raises(TrainingFailed, match=r"engine dask needs DASK_SCHEDULER_ADDRESS and"):
        fit(engine="dask")


def test_the_scores_of_the_folds_are_kept_of_rows_that_their_models_had_not_seen(fit):
    candidate = fit()
    kept, folds = _table(candidate, "out_of_fold"), candidate.manifest.folds
    assert kept["fold"].unique().to_list() == [number for number, _ in enumerate(folds, start=1)]
    for number, fold in enumerate(folds, start=1):
        stamps = kept.filter(fold=number)["timestamp"]
        assert (stamps.min(), stamps.max()) == (fold.test_start, fold.test_end)
        assert len(stamps) == fold.test_rows
        assert fold.train_end < stamps.min()
    assert kept.select("symbol", "timestamp").is_unique().all()
    holdout = _table(candidate, "holdout")
    assert kept["timestamp"].max() < holdout["timestamp"].min()
    assert kept["score"].is_between(0.0, 1.0).all()


def test_live_dates_are_held_against_all_that_the_models_had_not_seen(fit, registry):
    candidate = fit()
    manifest = registry.publish(candidate.manifest, candidate.files, fence=lambda: None)
    kept, holdout = _table(candidate, "out_of_fold"), _table(candidate, "holdout")
    for fold in manifest.folds:
        rows = kept.filter(fold=fold.fold)
        again = auc(rows["label"].to_numpy(), rows["score"].to_numpy())
        assert again == fold.metrics["auc"].value
    learnt = manifest.split.fit.rows + manifest.split.stop.rows
    counted = [fold.fold for fold in manifest.folds if fold.train_rows >= 0.4 * learnt]
    assert 0 < len(counted) < len(manifest.folds), "models of the oldest folds know too little"
    kept = kept.filter(pl.col("fold").is_in(counted))
    unseen = UnseenRowsReader(registry)
    rows = unseen.read(manifest)
    assert rows.rows == kept.height + holdout.height
    terms, steps = unseen.skill_terms(manifest)
    dates = kept["timestamp"].n_unique() + holdout["timestamp"].n_unique()
    assert (terms.dates, steps) == (dates, manifest.horizon_bars)
    gains = daily_gains(rows, judge_of(manifest))
    again = skill_terms(gains, steps_ahead=steps, holdout_dates=holdout["timestamp"].n_unique())
    assert terms == again


def test_labels_that_lead_over_a_hole_are_not_learned_and_counted(fit):
    whole, hole = panel(3, rows=400), (START + timedelta(days=200), START + timedelta(days=240))
    holed = whole.filter(
        (pl.col("symbol") != "S01") | ~pl.col("timestamp").is_between(*hole, closed="left")
    )
    candidate = fit(holed)
    series = {entry.symbol: entry for entry in candidate.manifest.data.series}
    assert (series["S00"].status, series["S00"].dropped_labels) == ("ok", 0)
    assert series["S01"].reasons == ("bars_missing", "hole_in_history")
    assert (series["S01"].holes, series["S01"].dropped_labels) == (1, 5)
    assert (series["S01"].missing_bars, series["S01"].zero_volume_share) == (40, 0.0)
    assert candidate.manifest.data.labelled_rows == 3 * 390 - 40 - 5


def test_a_symbol_whose_bars_are_mostly_lost_is_skipped_by_name(fit, monkeypatch):
    lossy = BarsReport(400, {}, {"not_finite": 900})
    history = InMemoryHistory.history

    def mostly_lost(self, symbol, **asked):
        clean = history(self, symbol, **asked)
        return dataclasses.replace(clean, report=lossy) if symbol == "S01" else clean

    monkeypatch.setattr(InMemoryHistory, "history", mostly_lost)
    data = fit().manifest.data
    assert [(s.symbol, s.reason) for s in data.skipped_symbols] == [
        ("S01", "refused for bars_dropped")
    ]
    assert data.symbols == ("S00", "S02")


def test_a_model_can_be_trained_on_alpha158(registry):
    history = InMemoryHistory(panel(2, rows=300))
    service = TrainingPipeline(history, BUILTIN, registry, 1, NoTests())
    spec = dataclasses.replace(SPEC, symbols=("S00", "S01"), feature_set="alpha158", rounds=5)
    candidate = service.run(spec, run_id="run-1", actor="t", now=NOW, progress=lambda _: None)
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
    assert manifest.data.bars_report == data_entry.BarsEntry(
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
    holdout = _table(candidate, "holdout")
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
        files = {"model.txt": b"tree"}
        registry.publish(fit(activate="never").manifest, files, fence=lambda: None)
    assert fit().manifest.holdout_reused_by == 2


def test_the_references_are_of_the_rows_that_the_served_model_was_trained_on(fit):
    candidate = fit()
    sketched, split = _table(candidate, "reference"), candidate.manifest.split
    rows = split.fit.rows + split.stop.rows
    assert sketched.columns == [*SMALL.names, "prediction", "rows_behind"]
    assert set(sketched["rows_behind"]) == {rows}
    reference = model_of_arrays(array_files.from_archive(candidate.files["drift.npz"]))
    assert reference.features.grid.names == SMALL.names
    assert (reference.features.rows, reference.features.rows_a_date) == (rows, 3.0)
    assert reference.features.total.rows.tolist() == [rows]
    unseen = split.holdout.rows + sum(fold.test_rows for fold in candidate.manifest.folds)
    assert reference.prediction.rows == unseen
    assert [each.window_dates for each in reference.features.calibrations] == [*WINDOW_DATES]
    assert {each.gap_dates for each in reference.features.calibrations} == {SMALL.window_bars}
    assert reference.losses is not None
    assert reference.losses.min() > 0.3
    content = array_files.from_archive(candidate.files["novelty.npz"])
    novelty = novelty_of_arrays(content, features=len(SMALL.names))
    assert not novelty.is_novel(reference.features.grid.edges[:, 20], level=0.01)


def test_raw_price_levels_are_watched_by_no_reference(fit):
    draft = fit(feature_set="levels")
    reference = model_of_arrays(array_files.from_archive(draft.files["drift.npz"]))
    assert reference.features.grid.names == SMALL.names[1:]
    content = array_files.from_archive(draft.files["novelty.npz"])
    assert 0 not in novelty_of_arrays(content, features=len(SMALL.names)).columns


def test_a_lookback_limits_the_bars_of_each_symbol(fit):
    manifest = fit(lookback=300).manifest
    assert manifest.data.start == START + timedelta(days=100)
    assert manifest.data.rows == 900


def test_the_same_bars_and_seed_give_the_same_model_on_one_and_two_threads(fit):
    first, second, other = fit(threads=1), fit(threads=2), fit(seed=7)
    assert first.manifest.fingerprint == second.manifest.fingerprint
    assert first.manifest.metrics == second.manifest.metrics
    for name in ("reference.parquet", "drift.npz", "novelty.npz", "out_of_fold.parquet"):
        assert first.files[name] == second.files[name], name
    assert other.manifest.fingerprint != first.manifest.fingerprint


def test_returns_can_be_learnt_too(fit):
    manifest = fit(objective="return").manifest
    assert {"mse", "mae", "ic_time", "hit_rate"} < set(manifest.metrics)
    assert manifest.metrics["rank_ic"].reason == "no date has 10 symbols"
    assert (manifest.verdict.metric, manifest.calibration) == ("ic_time", None)
    assert manifest.label.kind == "forward_return"


def test_the_recipe_may_tune_lightgbm_and_the_manifest_says_so(fit):
    plain = fit().manifest
    tuned = fit(params={"num_leaves": 4, "max_depth": 2}).manifest
    assert tuned.params == {**plain.params, "num_leaves": 4, "max_depth": 2}
    assert tuned.spec.params == {"num_leaves": 4, "max_depth": 2}
    assert tuned.fingerprint != plain.fingerprint
    assert (tuned.rounds, tuned.spec.rounds) == (10, 10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"params": {"seed": 1}}, "seed is not one of the tuning parameters"),
        ({"params": {"num_leaves": 1}}, "num_leaves must be"),
        ({"label": "cs_zscore"}, "cs_zscore needs the objective return"),
    ],
)
def test_a_recipe_that_contradicts_itself_fails_before_any_bars_are_fetched(fit, change, said):
    with pytest.raises(TrainingFailed, match=said):
        fit(symbols=("DOWN",), **change)


def test_a_rolling_window_is_that_of_candidate_and_refit(fit):
    manifest = fit(train_window=100, refit="full").manifest
    assert manifest.split.fit.start == START + timedelta(days=217)
    assert manifest.split.holdout.start == START + timedelta(days=317)
    assert manifest.served == "refit"
    assert manifest.spec.train_window == 100
    reference = _table(fit(train_window=100, refit="full"), "reference")
    assert set(reference["rows_behind"]) == {3 * 100}


def _universe(tmp_path, text):
    path = tmp_path / "universe.csv"
    path.write_text("symbol,from,to\n" + text)
    return str(path)


def test_without_a_universe_the_list_is_called_static(fit):
    candidate = fit()
    assert "universe.csv" not in candidate.files
    data = candidate.manifest.data
    assert (data.survivorship, data.universe_sha256) == ("static list", None)


def test_a_universe_limits_rows_to_membership_and_is_kept(fit, tmp_path):
    path = _universe(tmp_path, "S00,2020-01-01,\nS01,2020-01-01,2020-06-30\n")
    candidate = fit(universe_file=path)
    data = candidate.manifest.data
    assert data.survivorship == "universe file"
    assert candidate.manifest.spec.universe_file == "universe.csv"
    assert data.universe_sha256 == hashlib.sha256(candidate.files["universe.csv"]).hexdigest()
    assert data.symbols == ("S00", "S01")
    assert data.labelled_rows == 390 + 182 - 5
    assert data.skipped_symbols == (
        data_entry.SkippedSymbol("S02", "no row on a date within its membership of the universe"),
    )
    # Bars are kept whole: a row needs those before its membership.
    assert _table(candidate, "bars").equals(panel(3, rows=400))


@pytest.mark.parametrize(
    ("text", "said"),
    [("S00,2020-13-01,\n", "universe.csv, line 2"), ("S09,2020-01-01,\n", "within its membership")],
)
def test_a_universe_that_is_bad_or_empties_the_training_fails_it(fit, tmp_path, text, said):
    with pytest.raises(TrainingFailed, match=said):
        fit(universe_file=_universe(tmp_path, text))


def test_labels_may_be_z_scores_among_the_symbols_of_a_date(fit):
    bars = panel(12, rows=200)
    symbols = tuple(f"S{i:02d}" for i in range(12))
    candidate = fit(bars, symbols=symbols, objective="return", label="cs_zscore")
    manifest = candidate.manifest
    assert (manifest.label.kind, manifest.label.transform) == ("forward_return", "cs_zscore")
    by_date = (
        _table(candidate, "holdout")
        .group_by("timestamp")
        .agg(pl.col("label").mean().alias("mean"), pl.col("label").std().alias("std"))
    )
    assert by_date["mean"].abs().max() < 1e-12
    assert (by_date["std"] - 1.0).abs().max() < 1e-12
    assert _table(candidate, "holdout")["forward_return"].abs().max() < 1.0


def test_z_scores_on_too_few_symbols_a_date_fail_the_training(fit):
    symbols = tuple(f"S{i:02d}" for i in range(10))
    with pytest.raises(TrainingFailed, match="cs_zscore also needs 10 such symbols"):
        fit(panel(9, rows=200), symbols=symbols, objective="return", label="cs_zscore")


def test_a_refit_is_served_and_the_metrics_stay_the_candidates(fit):
    plain, full = fit(), fit(refit="full")
    assert full.files["candidate.txt"] == plain.files["model.txt"]
    assert full.manifest.metrics == plain.manifest.metrics
    assert full.manifest.served == "refit"
    assert full.manifest.candidate_fingerprint == plain.manifest.fingerprint
    assert full.manifest.fingerprint == fingerprint(full.files["model.txt"].decode())
    assert full.manifest.fingerprint != plain.manifest.fingerprint
    assert full.manifest.candidate_trained_through == plain.manifest.trained_through
    assert full.manifest.trained_through == START + timedelta(days=399)
    assert set(_table(full, "reference")["rows_behind"]) == {full.manifest.data.labelled_rows}
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
    reasons = r"NOPE \(the upstream .*\), EMPTY \(no final bars\); see TRAIN_SYMBOLS"
    with pytest.raises(TrainingFailed, match=reasons):
        fit(symbols=("NOPE", "EMPTY"))


def test_fewer_symbols_than_asked_for_fail_the_training_by_name(fit):
    symbols = ("S00", "NOPE", "S01")
    assert fit(symbols=symbols, min_symbols=2).manifest.data.symbols == ("S00", "S01")
    reasons = (
        r"2 of 3 symbols have bars, fewer than the 3 of TRAIN_MIN_SYMBOLS: NOPE \(the upstream"
    )
    with pytest.raises(TrainingFailed, match=reasons):
        fit(symbols=symbols, min_symbols=3)


def test_too_few_bars_fail_the_training(fit):
    with pytest.raises(TrainingFailed, match="no symbol has the 11 bars"):
        fit(panel(3, rows=10))
    with pytest.raises(TrainingFailed, match="too little history"):
        fit(panel(3, rows=24))


def test_an_unknown_feature_set_fails_the_training(fit):
    with pytest.raises(TrainingFailed, match="'big'; known are levels, planted, small, smaller"):
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
