import dataclasses
import math
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from mlengine.core.evaluation import (
    Bootstrap,
    Calibration,
    CalibrationBin,
    MetricEstimate,
    SignRule,
    Verdict,
)
from mlengine.core.promotion.gate import Decision
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions import manifest as manifests
from mlengine.core.versions.data_entry import BarsEntry, DataEntry, SeriesEntry, SkippedSymbol
from mlengine.core.versions.manifest import (
    FeatureSetEntry,
    FoldEntry,
    LabelEntry,
    Manifest,
    RowRange,
    SplitEntry,
)

DAY = datetime(2024, 1, 1, tzinfo=UTC)
PART = RowRange(DAY, DAY + timedelta(days=9), 40)
METRICS = {
    "auc": MetricEstimate(0.52, 0.5, "coin_flip", {"last_return_sign": None}),
    "log_loss": MetricEstimate(0.1 + 0.2, 0.6931, "training_rate"),
}
SIGN_RULE = SignRule(100, 5.0, 0.0002, 0.3, 0.00005, -0.0001, 0.0002, 0.0003)
CALIBRATION = Calibration(
    MetricEstimate(0.9, 1.0, "perfect", low=0.5, high=1.3),
    MetricEstimate(0.01, 0.0, "perfect", low=-0.1, high=0.1),
    (CalibrationBin(0.0, 1.0, 10, 0.5, 0.6),),
)
SPEC = TrainSpec(
    symbols=("AAPL", "Ä/B"),
    lookback=0,
    test_size=0.2,
    seed=42,
    folds=1,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="core",
    activate="if_better",
    refit="none",
    label_delay_bars=0,
    interval="1d",
    params={"num_leaves": 15},
)
MANIFEST = Manifest(
    run_id="r1",
    actor="admin",
    created_at=datetime(2024, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC),
    as_of=datetime(2024, 3, 1, 12, 30, tzinfo=UTC),
    spec=SPEC,
    objective="direction",
    horizon_bars=5,
    label_delay_bars=0,
    interval="1d",
    feature_set=FeatureSetEntry("core", 1, "ab" * 32, 64, ("momentum_20", "rsi_14")),
    label=LabelEntry("forward_return_sign", 5, 0),
    seed=42,
    params={"learning_rate": 0.05, "num_leaves": 15, "extra_trees": False, "boosting": "gbdt"},
    num_threads=2,
    rounds=300,
    early_stopping_rounds=50,
    best_iteration=7,
    data=DataEntry(
        start=DAY,
        end=DAY,
        lookback=0,
        symbols=("AAPL", "Ä/B"),
        holdout_only_symbols=(),
        skipped_symbols=(SkippedSymbol("NOPE", "the upstream knows no such symbol"),),
        rows=400,
        labelled_rows=380,
        bars_sha256="cd" * 32,
        bars_report=BarsEntry(400, {"duplicate": 1}, {}),
    ),
    split=SplitEntry(0.2, 0, PART, PART, PART, 16, 16),
    folds=(FoldEntry(1, DAY, DAY, DAY, DAY, 30, 10, 4, 3, METRICS, None, SIGN_RULE),),
    metrics=METRICS,
    calibration=CALIBRATION,
    sign_rule=SIGN_RULE,
    bootstrap=Bootstrap(20, 1000, 42, 0.95),
    verdict=Verdict("no_edge", "auc", 0.52, 0.5, 0.48, 0.55),
    holdout_reused_by=0,
    base_rate=0.55,
    zero_share=0.0,
    served="candidate",
    trained_through=DAY + timedelta(days=14),
    candidate_trained_through=DAY + timedelta(days=14),
    selected_through=None,
    importances={"momentum_20": 12.5, "rsi_14": 0.0},
    fingerprint="ef" * 32,
    candidate_fingerprint="ef" * 32,
    libraries={"polars": "2.1.0"},
    gate=Decision("if_better", True, "first_model", None, {"challenger": 0.69, "champion": None}),
)


def test_a_manifest_comes_back_as_it_was_written():
    assert manifests.parse(manifests.dump(MANIFEST)) == MANIFEST


def test_equal_manifests_have_one_byte_form():
    again = dataclasses.replace(
        MANIFEST, params=dict(reversed(MANIFEST.params.items())), data=MANIFEST.data
    )
    assert manifests.dump(again) == manifests.dump(MANIFEST)


def test_a_manifest_from_before_quality_was_measured_is_read_and_keeps_its_bytes():
    before = manifests.dump(MANIFEST)
    assert b'"series"' not in before
    assert manifests.parse(before).data.series == ()
    entry = SeriesEntry("AAPL", "ok", (), 1200, "XNYS", 0.0, 0.0, 0, 0, 0)
    data = dataclasses.replace(MANIFEST.data, series=(entry,))
    measured = dataclasses.replace(MANIFEST, data=data)
    assert manifests.parse(manifests.dump(measured)) == measured
    assert b'"dropped_share"' in manifests.dump(measured)
    assert b'"zero_volume_share"' not in manifests.dump(measured)
    more = {"dropped": {"not_finite": 2}, "missing_bars": 3, "zero_volume_share": 0.5}
    entry = dataclasses.replace(entry, **more, missed_bars=4)  # type: ignore[arg-type]
    data = dataclasses.replace(MANIFEST.data, series=(entry,))
    measured = dataclasses.replace(MANIFEST, data=data)
    assert manifests.parse(manifests.dump(measured)) == measured


def test_only_what_is_not_reproducible_is_written_so():
    before = manifests.dump(MANIFEST)
    assert b'"reproducible"' not in before
    assert manifests.parse(before).reproducible
    other = dataclasses.replace(MANIFEST, reproducible=False)
    assert manifests.parse(manifests.dump(other)) == other


def test_the_registry_adds_version_and_files():
    published = dataclasses.replace(MANIFEST, version="v3", files={"model.txt": "01" * 32})
    assert manifests.parse(manifests.dump(published)).files == {"model.txt": "01" * 32}
    said = orjson.loads(manifests.dump(published))
    assert (said["version"], said["model"], said["schema_version"]) == ("v3", "main", 2)


def test_any_flipped_byte_is_refused():
    content = manifests.dump(MANIFEST)
    for position in range(0, len(content), 29):
        flipped = bytearray(content)
        flipped[position] ^= 1
        with pytest.raises(ValueError):  # noqa: PT011 - the reason differs with the byte
            manifests.parse(bytes(flipped))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43},
        {"manifest_sha256": "00" * 32},
        {"more": 1},
        {"base_rate": "0.55"},
        {"folds": None},
        {"schema_version": 1},
    ],
)
def test_an_edited_field_is_refused(change):
    said = {**orjson.loads(manifests.dump(MANIFEST)), **change}
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    with pytest.raises(ValueError, match=r"manifest|type|fields|expected"):
        manifests.parse(orjson.dumps(said, option=options))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff"])
def test_something_else_is_refused(content):
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's or ours
        manifests.parse(content)


def test_a_copy_without_white_space_is_refused():
    with pytest.raises(ValueError, match="digest"):
        manifests.parse(orjson.dumps(orjson.loads(manifests.dump(MANIFEST))))


def test_no_nan_stands_in_a_manifest():
    undefined = dataclasses.replace(
        MANIFEST, metrics={"auc": MetricEstimate(math.nan, math.inf, "coin_flip")}
    )
    content = manifests.dump(undefined)
    assert b"NaN" not in content
    assert manifests.parse(content).metrics == {"auc": MetricEstimate(None, None, "coin_flip")}


def test_a_number_that_must_be_there_can_not_be_nan():
    with pytest.raises(ValueError, match="base_rate"):
        manifests.dump(dataclasses.replace(MANIFEST, base_rate=math.nan))


def test_a_whole_number_in_a_float_field_is_no_other_manifest():
    whole = dataclasses.replace(MANIFEST, zero_share=0)
    assert manifests.dump(whole) == manifests.dump(MANIFEST)
    assert manifests.parse(manifests.dump(whole)) == MANIFEST


def test_seen_through_is_the_later_of_training_and_choosing():
    assert MANIFEST.seen_through == MANIFEST.trained_through
    later = MANIFEST.trained_through + timedelta(days=50)
    assert dataclasses.replace(MANIFEST, selected_through=later).seen_through == later
    assert dataclasses.replace(MANIFEST, selected_through=DAY).seen_through == (
        MANIFEST.trained_through
    )


def test_the_answer_of_models_is_plain():
    said = MANIFEST.to_dict()
    assert said["trained_through"] == "2024-01-15T00:00:00Z"
    assert said["metrics"]["auc"]["baseline"] == 0.5
    assert orjson.loads(orjson.dumps(said)) == said
