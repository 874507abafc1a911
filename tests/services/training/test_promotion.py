"""The promotion gate on small real trainings, with a real registry and a real history."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.core.small_features import SMALL, SMALLER, SPEC
from tests.databases import new_database, opened
from tests.factories import START, panel, random_bars
from tests.one_process_cluster import OneProcessCluster

from mlengine.core.bars.bars import BarArrays, BarsReport, CleanBars
from mlengine.core.boosting.model import Scorer
from mlengine.core.calendars.market import NO_MARKETS
from mlengine.core.features import compute
from mlengine.core.metrics import log_loss, mse
from mlengine.services.models.event_recording import record_training
from mlengine.services.models.service import ModelService
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.stores.database.events import EventStore
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system import table_files

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SETS = {"small": SMALL, "smaller": SMALLER}
SMALL_GATE = dataclasses.replace(SPEC, folds=0, gate_min_dates=30, gate_margin=0.0)


class InMemoryHistory:
    def __init__(self, bars):
        self._bars = bars

    markets = NO_MARKETS
    adjustment = "none"
    source = SampleMarketData()

    def actions_applied(self, symbol, bars, *, at):  # noqa: ARG002
        return 0

    def history(self, symbol, *, bars, as_of, now):
        assert (as_of, now) == (None, NOW)
        frame = self._bars.filter(pl.col("symbol") == symbol)
        frame = frame.tail(bars) if bars else frame
        return CleanBars(BarArrays.of(frame), BarsReport(frame.height, {}, {}))


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models" / "main")


@pytest.fixture
def events(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as platform:
        yield EventStore(platform)


@pytest.fixture
def fit(registry, events):
    def fit(bars=None, *, sets=SETS, rounds=10, **change):
        history = InMemoryHistory(panel(3, rows=400) if bars is None else bars)
        service = TrainingPipeline(history, sets, registry, 1, events, cluster=OneProcessCluster())
        spec = dataclasses.replace(SMALL_GATE, rounds=rounds, **change)
        return service.run(spec, run_id="run", actor="t", now=NOW, progress=lambda _: None)

    return fit


@pytest.fixture
def publish(registry, events):
    """Publish, announce as a run does, and by default activate."""

    def publish(candidate, *, activate=True):
        manifest = registry.publish(candidate.manifest, candidate.files, fence=lambda: None)
        record_training(events, manifest, actor="t", now=NOW)
        if activate:
            registry.activate(manifest.version, actor="t", reason="t", now=NOW)
        return manifest

    return publish


def _drifting(seed=3, *, rows=400, symbol="S00"):
    """Bars whose next days follow the last ones."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.normal(0.0, 0.02, rows // 10 + 1), 10)[:rows]
    close = 100.0 * np.exp(np.cumsum(steps + rng.normal(0.0, 0.002, rows)))
    return random_bars(symbol, rows=rows).with_columns(
        pl.Series("close", close), pl.Series("high", close * 1.01), pl.Series("low", close * 0.99)
    )


def _unforeseeable():
    return random_bars("S00", rows=800, seed=10)


ALONE = {"symbols": ("S00",)}


def test_the_first_model_is_activated_and_said_so(fit):
    gate = fit().manifest.gate
    assert (gate.promote, gate.reason, gate.champion, gate.test) == (
        True,
        "first_model",
        None,
        None,
    )
    assert gate.losses["champion"] is None


def test_the_same_model_again_is_not_promoted_and_chooses_nothing(fit, publish):
    publish(fit())
    manifest = fit().manifest
    gate = manifest.gate
    assert (gate.promote, gate.reason, gate.champion) == (False, "identical", "v1")
    assert gate.losses["champion"] == gate.losses["challenger"]
    assert gate.test is None
    assert manifest.selected_through is None


def test_a_better_challenger_is_promoted_and_the_choice_is_remembered(fit, publish):
    bars = _drifting(rows=800)
    poor = publish(fit(bars, **ALONE, rounds=1))
    manifest = fit(bars, **ALONE, rounds=60).manifest
    gate = manifest.gate
    assert gate.reason == "better_than_champion"
    assert gate.promote
    assert gate.losses == {
        "champion": poor.metrics["log_loss"].value,
        "challenger": manifest.metrics["log_loss"].value,
        "constant": manifest.metrics["log_loss"].baseline,
    }
    assert (gate.test.dates, gate.test.rows, gate.test.decisions) == (158, 158, 1)
    assert (gate.test.kernel, gate.test.lags, gate.test.level) == ("rectangular", 4, 0.05)
    assert gate.test.p_value < 0.05 < gate.test.statistic
    assert gate.test.mean_difference == pytest.approx(
        gate.losses["champion"] - gate.losses["challenger"]
    )
    # The holdout's labels had a say in what serves.
    assert manifest.selected_through == START + timedelta(days=799)
    assert manifest.seen_through == manifest.selected_through > manifest.trained_through


def test_a_challenger_that_is_not_better_beyond_luck_is_not_promoted(fit, publish):
    publish(fit())
    manifest = fit(seed=3).manifest
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "not_better_than_champion")
    assert manifest.gate.test.p_value >= 0.05
    assert manifest.selected_through == START + timedelta(days=399)


def test_a_challenger_is_not_asked_to_beat_a_constant(fit, publish):
    """A champion that is worse than any constant is better replaced than kept."""
    growth = pl.col("open", "high", "low", "close") * 1.05 ** pl.int_range(pl.len())
    publish(fit(_unforeseeable().with_columns(growth), **ALONE))
    gate = fit(_unforeseeable(), **ALONE).manifest.gate
    assert gate.losses["constant"] < gate.losses["challenger"] < gate.losses["champion"]
    assert gate.reason == "better_than_champion"


@pytest.mark.parametrize(
    ("rounds", "margin", "reason"),
    [
        (60, 0.0, "not_worse_than_champion"),
        (1, 0.001, "worse_than_champion"),
        (1, 1.0, "not_worse_than_champion"),
    ],
)
def test_a_refresh_is_promoted_unless_it_is_worse_by_more_than_the_margin(
    fit, publish, rounds, margin, reason
):
    bars = _drifting()
    publish(fit(bars, **ALONE, rounds=40))
    change = {"activate": "if_not_worse", "gate_margin": margin}
    manifest = fit(bars, **ALONE, rounds=rounds, **change).manifest
    assert manifest.gate.reason == reason
    assert manifest.gate.promote == (reason == "not_worse_than_champion")
    assert manifest.gate.test.dates == 78
    assert manifest.selected_through is not None


def test_a_champion_whose_live_predictions_lost_their_skill_gives_way(fit, publish, events):
    bars = _drifting()
    champion = publish(fit(bars, **ALONE, rounds=40))
    change = {"activate": "if_not_worse", "gate_margin": 0.001, "rounds": 1}
    assert fit(bars, **ALONE, **change).manifest.gate.reason == "worse_than_champion"
    events.append("skill_lost", at=NOW, version=champion.version, actor=None, details={})
    gate = fit(bars, **ALONE, **change).manifest.gate
    assert (gate.promote, gate.reason) == (True, "champion_lost_skill")


def test_a_champion_with_other_features_is_judged_on_the_same_rows(fit, publish):
    champion = publish(fit(feature_set="smaller"))
    gate = fit().manifest.gate
    assert gate.champion == champion.version
    assert gate.losses["champion"] != gate.losses["challenger"]
    assert gate.losses["champion"] == pytest.approx(champion.metrics["log_loss"].value, abs=0.01)


def test_rows_without_a_full_window_of_the_champions_features_count_for_neither(
    fit, publish, registry
):
    young = random_bars("YOUNG", rows=60, start=START + timedelta(days=340))
    bars = pl.concat([panel(2, rows=400), young])
    symbols = ("S00", "S01", "YOUNG")
    publish(fit(bars, symbols=symbols))
    challenger = fit(bars, symbols=symbols, feature_set="smaller")
    since = registry.manifest("v1").split.holdout.start
    held = _holdout(challenger).filter(pl.col("timestamp") >= since)
    # YOUNG's rows begin four days sooner with the shorter window of the challenger.
    assert held.height - challenger.manifest.gate.test.rows == 4


def test_a_refitted_champion_is_judged_by_its_candidate(fit, publish):
    champion = publish(fit(refit="full"))
    gate = fit().manifest.gate
    assert gate.reason == "identical"
    assert gate.losses["champion"] == champion.metrics["log_loss"].value


def _holdout(candidate):
    return table_files.from_parquet(candidate.files["holdout.parquet"])


def _losses(candidate, *, since):
    holdout = _holdout(candidate).filter(pl.col("timestamp") >= since)
    ups = holdout["label"].to_numpy()
    constant = np.full(holdout.height, candidate.manifest.base_rate)
    return log_loss(ups, holdout["score"].to_numpy()), log_loss(ups, constant)


def test_a_champion_is_judged_only_on_what_it_was_not_trained_on(fit, publish):
    manifest = publish(fit(test_size=0.1))
    challenger = fit(test_size=0.2)
    gate = challenger.manifest.gate
    since = manifest.split.holdout.start
    assert since == manifest.candidate_trained_through > challenger.manifest.split.holdout.start
    # The champion's own holdout is all that it has not seen: what it was measured on.
    assert gate.losses["champion"] == manifest.metrics["log_loss"].value
    challenger_loss, best_constant_loss = _losses(challenger, since=since)
    assert gate.losses["challenger"] == challenger_loss
    assert gate.losses["constant"] == best_constant_loss
    assert gate.losses["challenger"] != challenger.manifest.metrics["log_loss"].value
    assert (gate.test.dates, gate.test.rows) == (39, 117)


def test_the_champions_embargo_is_kept(fit, publish):
    manifest = publish(fit(test_size=0.1, embargo_bars=20))
    assert manifest.candidate_trained_through < manifest.split.holdout.start
    assert fit(test_size=0.2).manifest.gate.test.dates == 39


def test_a_champion_whose_holdout_ended_long_ago_is_judged_on_newer_bars(fit, publish):
    bars = panel(3, rows=600)
    old = publish(fit(bars.filter(pl.col("timestamp") < START + timedelta(days=300))))
    challenger = fit(bars, seed=3)
    gate = challenger.manifest.gate
    held = _holdout(challenger)
    assert old.split.holdout.end < challenger.manifest.split.holdout.start
    assert gate.test.rows == held.height
    assert gate.test.dates == held["timestamp"].n_unique() == 118


def _halted(day, *, rows=400):
    """S00 stands still for 30 bars from `day` on; the others trade."""
    bars = panel(3, rows=rows)
    asleep = pl.col("timestamp").is_between(
        START + timedelta(days=day), START + timedelta(days=day + 29)
    )
    return bars.filter((pl.col("symbol") != "S00") | ~asleep)


@pytest.mark.parametrize("day", [310, 330, 350])
def test_no_row_counts_whose_label_began_before_the_champions_training_ended(fit, publish, day):
    """The labels of the halted symbol end up to 35 days after they begin."""
    bars = _halted(day)
    champion = publish(fit(bars, test_size=0.1))
    trained = _train_label_ends(bars, champion)
    assert champion.candidate_trained_through == max(trained)
    challenger = fit(bars, test_size=0.25, seed=3)
    counted = _holdout(challenger).filter(pl.col("timestamp") >= max(trained))
    gate = challenger.manifest.gate
    assert gate.test.rows == counted.height
    assert gate.losses["challenger"] == log_loss(
        counted["label"].to_numpy(), counted["score"].to_numpy()
    )


def _train_label_ends(bars, manifest):
    """Where the labels end of the rows that the split must have kept for training."""
    ends = []
    for symbol in ("S00", "S01", "S02"):
        times = bars.filter(pl.col("symbol") == symbol)["timestamp"].to_list()
        ends += [
            end
            for row, end in zip(times[5:], times[10:], strict=False)
            if row < manifest.split.holdout.start and end <= manifest.split.holdout.start
        ]
    return ends


@pytest.mark.parametrize("refit", ["none", "full"])
def test_a_champion_that_saw_most_of_the_holdout_stays(fit, publish, refit):
    publish(fit(test_size=0.05, refit=refit))
    manifest = fit(test_size=0.2).manifest
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "not_enough_common_bars")
    assert manifest.gate.losses["champion"] is None
    assert manifest.gate.losses["challenger"] == manifest.metrics["log_loss"].value
    assert manifest.gate.test is None
    assert manifest.selected_through is None


@pytest.mark.parametrize(("fewest", "tested"), [(78, True), (79, False)])
def test_the_fewest_dates_are_counted_as_dates_and_not_as_rows(fit, publish, fewest, tested):
    publish(fit())
    gate = fit(seed=3, gate_min_dates=fewest).manifest.gate
    assert (gate.test is not None) == tested
    assert (gate.reason == "not_enough_common_bars") != tested


def test_a_horizon_that_leaves_too_little_to_test_is_not_tested(fit, publish):
    publish(fit(horizon_bars=36))
    gate = fit(horizon_bars=36, seed=3).manifest.gate
    assert gate.reason == "not_enough_common_bars"


def test_a_champion_chosen_on_the_same_holdout_is_compared_again(fit, publish):
    bars = _drifting()
    publish(fit(bars, **ALONE, rounds=1))
    chosen = publish(fit(bars, **ALONE, rounds=60))
    assert chosen.selected_through is not None
    gate = fit(bars, **ALONE, rounds=30).manifest.gate
    assert gate.losses["champion"] == chosen.metrics["log_loss"].value


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "return"},
        {"horizon_bars": 3},
        {"label_delay_bars": 1},
        {"symbols": ("S00", "S01")},
    ],
)
def test_a_champion_that_answers_another_question_stays(fit, publish, change):
    publish(fit())
    manifest = fit(**change).manifest
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "not_comparable")
    assert manifest.gate.losses["champion"] is None
    assert manifest.selected_through is None


def test_a_symbol_that_had_no_bars_for_once_makes_no_other_question(fit, publish):
    publish(fit(panel(2, rows=400), symbols=("S00", "S01", "S02")))
    assert fit().manifest.gate.test is not None


def test_a_label_delay_lengthens_the_kernel(fit, publish):
    publish(fit(label_delay_bars=1))
    assert fit(label_delay_bars=1, seed=3).manifest.gate.test.lags == 5


def test_returns_are_judged_by_their_squared_errors(fit, publish):
    champion = fit(objective="return")
    publish(champion)
    challenger = fit(objective="return", seed=3)
    gate = challenger.manifest.gate
    for name, made in (("champion", champion), ("challenger", challenger)):
        returns, scores = _holdout(made)["forward_return"], _holdout(made)["score"]
        assert gate.losses[name] == mse(returns.to_numpy(), scores.to_numpy())
    assert gate.test.dates == 78


def test_a_champion_whose_features_are_gone_stays(fit, publish):
    publish(fit())
    changed = {"small": dataclasses.replace(SMALL, version=2)}
    manifest = fit(sets=changed, rounds=5).manifest
    assert (manifest.gate.promote, manifest.gate.reason) == (False, "not_comparable")
    assert manifest.selected_through is None


@pytest.mark.parametrize("name", ["manifest.json", "model.txt"])
def test_a_corrupt_champion_is_said_and_stays(fit, publish, registry, name):
    publish(fit())
    (registry.directory / "v1" / name).write_bytes(b"torn")
    gate = fit().manifest.gate
    assert (gate.promote, gate.reason, gate.champion) == (False, "champion_unusable", "v1")


def test_a_champion_that_nobody_can_name_is_said_and_stays(fit, publish, registry):
    publish(fit())
    registry.active.path.write_bytes(b"torn")
    gate = fit().manifest.gate
    assert (gate.promote, gate.reason) == (False, "champion_unusable")
    assert gate.champion_generation is None


def test_a_champion_that_is_no_model_is_said_and_stays(fit, publish):
    candidate = fit()
    files = {**candidate.files, "model.txt": b"no model"}
    publish(dataclasses.replace(candidate, files=files))
    assert fit().manifest.gate.reason == "champion_unusable"


def test_policies_that_do_not_look_choose_nothing_and_test_nothing(fit, publish):
    publish(fit())
    always = fit(activate="always", seed=3).manifest
    assert always.gate.promote
    assert always.selected_through is None
    assert always.gate.test is None
    assert always.gate.losses["champion"] is not None
    assert not fit(activate="never", seed=3).manifest.gate.promote


def test_every_test_against_one_champion_asks_more_of_the_next(fit, publish, registry):
    publish(fit())
    levels = []
    for seed in (2, 3, 4):
        manifest = publish(fit(seed=seed), activate=False)
        levels.append((manifest.gate.test.decisions, manifest.gate.test.level))
    assert levels == [(1, 0.05), (2, 0.05 / 4), (3, 0.05 / 9)]
    # What was not tested counts for nothing.
    publish(fit(), activate=False)
    publish(fit(seed=5, activate="never"), activate=False)
    publish(fit(seed=6, gate_min_dates=250), activate=False)
    assert fit(seed=7).manifest.gate.test.decisions == 4
    # Another champion begins anew, and so does the same one when it is activated again.
    registry.activate("v2", actor="t", reason="t", now=NOW)
    gate = publish(fit(seed=8), activate=False).gate
    assert (gate.champion, gate.champion_generation, gate.test.decisions) == ("v2", 2, 1)
    registry.activate("v1", actor="t", reason="t", now=NOW)
    assert fit(seed=9).manifest.gate.test.decisions == 1


def test_the_test_can_be_made_again_from_what_was_published(fit, publish, registry):
    """By the definition: a mean a date of the champion's loss less the challenger's."""
    publish(fit(feature_set="smaller"))
    challenger = fit()
    rows = _holdout(challenger)
    matrix = _features_of(rows, "smaller")
    champion = Scorer.from_text(registry.read("v1", "model.txt").decode()).score(matrix)
    up, ours = rows["label"].to_numpy(), rows["score"].to_numpy()
    lost = [-np.log(np.where(up > 0, p, 1 - p)) for p in (champion, ours)]
    by_date = (
        rows.select("timestamp", pl.Series("d", lost[0] - lost[1])).group_by("timestamp").mean()
    )
    test = challenger.manifest.gate.test
    assert test.mean_difference == pytest.approx(by_date["d"].mean(), rel=1e-9)
    assert math.copysign(1.0, test.statistic) == math.copysign(1.0, test.mean_difference)


@pytest.mark.parametrize("objective", ["direction", "return"])
def test_comparing_the_two_versions_later_gives_the_table_of_the_gate(
    fit, publish, registry, objective
):
    first = publish(fit(objective=objective))
    second = publish(fit(objective=objective, seed=3, refit="full"))
    found = ModelService(registry, loader=None, events=events).compare("v1", "v2")
    test = second.gate.test
    assert found.test.statistic == pytest.approx(test.statistic, rel=1e-9)
    assert found.test.p_value == pytest.approx(test.p_value, rel=1e-9)
    assert (found.common.rows, found.common.dates) == (test.rows, test.dates)
    shared = {"log_loss", "brier", "auc", "accuracy", "mse", "mae"}
    for pair in (pair for pair in found.metrics if pair.metric in shared):
        assert pair.a == pytest.approx(first.metrics[pair.metric].value, rel=1e-12)
        assert pair.b == pytest.approx(second.metrics[pair.metric].value, rel=1e-12)
    assert {each.field for each in found.recipe} >= {"seed", "spec.seed", "spec.refit", "served"}


def _features_of(rows, name):
    features = compute(panel(3, rows=400), SETS[name])
    joined = rows.join(features, on=["symbol", "timestamp"], maintain_order="left")
    return joined.select(pl.col(SETS[name].names).fill_null(float("nan"))).to_numpy()


def test_the_same_universe_file_is_the_same_question_and_another_is_not(fit, publish, tmp_path):
    path = tmp_path / "universe.csv"
    path.write_text("symbol,from,to\nS00,2020-01-01,\nS01,2020-01-01,\n")
    publish(fit(universe_file=str(path)))
    assert fit(universe_file=str(path)).manifest.gate.reason == "identical"
    assert fit().manifest.gate.reason == "not_comparable"
    path.write_text("symbol,from,to\nS00,2020-01-01,\nS02,2020-01-01,\n")
    assert fit(universe_file=str(path)).manifest.gate.reason == "not_comparable"


def test_what_a_cluster_fitted_is_not_tested_and_a_person_may_activate_it(fit, publish, registry):
    publish(fit(rounds=2))
    better = fit(_drifting(), engine="dask", activate="always", **ALONE).manifest
    assert (better.gate.promote, better.gate.reason) == (False, "not_reproducible")
    assert (better.gate.test, better.selected_through) == (None, None)
    draft = fit(engine="dask")
    assert draft.manifest.gate.losses["champion"] is not None
    by_hand = publish(draft)
    assert registry.active.read().version == by_hand.version == "v2"
    # From then on it is a champion as any other.
    gate = fit(seed=7).manifest.gate
    assert (gate.champion, gate.reason) == ("v2", "not_better_than_champion")
    assert gate.test is not None
