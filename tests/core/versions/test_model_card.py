import dataclasses
from datetime import UTC, datetime

import polars as pl
import pytest
from tests.published import draft

from mlengine.core.evaluation import MetricEstimate, Verdict
from mlengine.core.promotion.gate import Decision
from mlengine.core.versions.data_entry import SeriesEntry, SkippedSymbol
from mlengine.core.versions.manifest import LabelEntry
from mlengine.core.versions.model_card import render_model_card

HOLDOUT = pl.DataFrame(
    {
        "symbol": ["AAA", "BBB"] * 4,
        "timestamp": [datetime(2020 + i // 4, 1, 1 + i // 2, tzinfo=UTC) for i in range(8)],
        "label": [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "forward_return": [0.1, -0.1, -0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        "score": [0.75, 0.25, 0.5, 0.5, 0.5, 0.75, 0.5, 0.25],
    }
)


def _draft(**changed):
    metrics = {
        "auc": MetricEstimate(0.53, 0.5, "coin_flip", low=0.51, high=0.55),
        "ic": MetricEstimate(None, 0.0, "no_skill", reason="fewer than 10 symbols a date"),
    }
    told = {
        "version": "v3",
        "metrics": metrics,
        "verdict": Verdict("edge", "auc", 0.53, 0.5, 0.51, 0.55),
        "importances": {"return_1": 3.0, "rsi_14": 1.0, "atr": 0.0},
        "gate": Decision("if_better", False, "not_better", "v2", {"champion": 0.69}),
        "remarks": ("one tree",),
    }
    return draft(**{**told, **changed})


def _section(page, title):
    return page.split(f"## {title}\n\n")[1].split("\n## ")[0]


def test_the_page_has_every_section():
    page = render_model_card(_draft(), HOLDOUT)
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "Purpose", "Data", "Label", "Universe and survivorship", "Bars",
        "How it was split", "Metrics on the holdout", "By year", "By symbol",
        "Importances", "Gate", "Limits",
    ]  # fmt: skip
    assert page.startswith("# Model card: v3\n")


def test_metrics_stand_beside_interval_and_baseline_and_nulls_have_a_reason():
    said = _section(render_model_card(_draft(), HOLDOUT), "Metrics on the holdout")
    assert "Verdict: **edge**, by auc 0.53 (0.51 to 0.55) against\n0.5 (level 0.95, recipes" in said
    assert "| auc | 0.53 | 0.51 to 0.55 | 0.5 | coin_flip | - | - |" in said
    assert "| ic | - (fewer than 10 symbols a date) | - | 0 | no_skill |" in said


def test_years_and_symbols_have_figures_of_their_own():
    page = render_model_card(_draft(), HOLDOUT)
    # 2020: ups score 0.75 and 0.5, downs 0.25 and 0.5: 3.5 of 4 pairs. 2021 has no downs.
    years = _section(page, "By year")
    assert "| year | n | AUC | log-loss | accuracy | share of rises |" in years
    assert "| 2020 | 4 | 0.875 | 0.490415 | 0.75 | 0.5 |" in years
    assert "| 2021 | 4 | - |" in years
    symbols = _section(page, "By symbol")
    assert "| AAA | 4 | 0.666667 |" in symbols
    assert "| BBB | 4 | 0.833333 |" in symbols


@pytest.mark.parametrize("transform", ["raw", "cs_zscore"])
def test_a_model_of_returns_has_correlations(transform):
    label = LabelEntry("forward_return", 5, 0, transform)
    page = render_model_card(_draft(objective="return", label=label), HOLDOUT)
    assert "| symbol | n | pooled IC | MSE | hit rate | mean label |" in page
    assert ("z-score among the symbols" in _section(page, "Purpose")) == (transform != "raw")


def test_the_hit_rate_of_a_symbol_is_of_the_rows_that_moved_like_the_manifests():
    moves = {"label": [0.1, -0.1, 0.0, 0.1, 0.0, -0.2, 0.1, 0.3], "score": [0.1] * 8}
    page = render_model_card(_draft(objective="return"), HOLDOUT.with_columns(pl.DataFrame(moves)))
    assert "| AAA | 4 | - | 0.005 | 1 |" in _section(page, "By symbol")
    assert "| BBB | 4 | - | 0.0425 | 0.5 |" in _section(page, "By symbol")


def test_calibration_and_the_sign_rule_stand_with_the_metrics():
    said = _section(render_model_card(_draft(), HOLDOUT), "Metrics on the holdout")
    made = _draft()
    slope = made.calibration.slope
    assert f"| calibration slope | {slope.value:.6g} |" in said
    assert "| calibration intercept |" in said
    assert f"buying and\nholding: {made.sign_rule.buy_and_hold:.6g}." in said
    assert "calibration" not in _section(
        render_model_card(_draft(calibration=None), HOLDOUT), "Metrics on the holdout"
    )


def test_survivorship_is_told():
    assert "Survivorship: static list." in render_model_card(_draft(), HOLDOUT)
    data = dataclasses.replace(
        _draft().data,
        survivorship="universe file",
        universe_sha256="ab" * 32,
        holdout_only_symbols=("NEW",),
        skipped_symbols=(SkippedSymbol("GONE", "no final bars"),),
    )
    said = _section(render_model_card(_draft(data=data), HOLDOUT), "Universe and survivorship")
    assert "ab" * 32 in said
    assert "not trained on: NEW" in said
    assert "Skipped: GONE (no final bars)." in said


def test_the_quality_of_each_symbols_bars_is_a_row():
    assert _section(render_model_card(_draft(), HOLDOUT), "Bars").startswith("Their quality")
    reasons = ("hole_in_history",)
    entry = SeriesEntry("AAPL", "suspect", reasons, 1200, "XNYS", 0.01, 0.002, 1, 0, 6)
    data = dataclasses.replace(_draft().data, series=(entry,))
    said = _section(render_model_card(_draft(data=data), HOLDOUT), "Bars")
    row = "AAPL | suspect, hole_in_history | 1,200 | 0 | 1.0% | 0.2% (XNYS) | 1 | 0 | 0.0% | 0 | 6"
    assert row in said
    counted = dataclasses.replace(
        entry,
        mended={"duplicate": 2, "reordered": 1},
        dropped={"not_finite": 12},
        zero_volume_share=0.25,
        missed_bars=20,
    )
    data = dataclasses.replace(_draft().data, series=(counted,))
    said = _section(render_model_card(_draft(data=data), HOLDOUT), "Bars")
    assert "| duplicate 2, reordered 1 | 1.0% (not_finite 12) | 0.2% (XNYS) |" in said
    assert "| 1 | 0 | 25.0% | 20 | 6 |" in said


def test_what_prices_are_adjusted_for_is_told():
    assert "Prices are taken as served." in _section(render_model_card(_draft(), HOLDOUT), "Bars")
    entry = SeriesEntry("AAPL", "ok", (), 1200, "XNYS", 0.0, 0.0, 0, 0, 0, actions=3)
    data = dataclasses.replace(_draft().data, series=(entry,), adjust="all")
    said = _section(render_model_card(_draft(data=data), HOLDOUT), "Bars")
    assert "adjusted for splits and dividends; actions by symbol: AAPL 3." in said
    assert "adjusted close" not in said


def test_importances_are_shares_of_the_gain_the_greatest_first():
    said = _section(render_model_card(_draft(), HOLDOUT), "Importances").splitlines()
    assert said[0] == "Of the served candidate: 2 of 3 features are used."
    assert said[4:] == ["| `return_1` | 75.0% |", "| `rsi_14` | 25.0% |"]
    many = {f"f{i:02d}": float(i) for i in range(26)}
    page = render_model_card(_draft(importances=many), HOLDOUT)
    assert "5 more are left out" in page
    assert "0 of 1 features are used" in render_model_card(_draft(importances={"a": 0.0}), HOLDOUT)


def test_the_gates_decision_and_the_limits_are_told():
    page = render_model_card(_draft(), HOLDOUT)
    assert "not promoted (`not_better`); champion: v2." in _section(page, "Gate")
    assert "- loss of champion: 0.69" in page
    assert "- one tree" in _section(page, "Limits")
