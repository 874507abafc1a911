"""Manifests of schema 1, as mlengine 0.1.0 wrote them first, in the fields of schema 2.

What such a version never recorded stays null: intervals, calibration, the sign rule. Its recipe is
read from its results. Its bars were not stored, so that it can't be reproduced.
"""

from collections.abc import Mapping

FIRST_SCHEMA_VERSION = 1
REMARK = (
    "its manifest is of schema 1: no intervals, calibration or sign rule were computed, no bars "
    "were stored, and the recipe is read from the results"
)
_RENAMED_METRICS = {"ic": "pooled_ic", "rank_ic": "pooled_rank_ic"}
_ESTIMATE = {"low": None, "high": None, "reason": "no interval was computed"}
_SIGN_RULE = {
    "bars": 0,
    "cost_bps": 0.0,
    **dict.fromkeys(
        ("gross_return", "turnover", "net_return", "net_low", "net_high", "buy_and_hold")
    ),
}
_EVALUATION = {"calibration": None, "sign_rule": _SIGN_RULE}
_PRIMARY_METRICS = {"direction": ("auc", 0.5), "return": ("ic_time", 0.0)}


def upgrade(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields of a whole manifest of schema 1 in the form of schema 2, unchecked.

    What is not of the type that schema 1 has there is left as it is, for the reader to refuse.
    """
    return {
        **fields,
        **_EVALUATION,
        "as_of": fields.get("created_at"),
        "spec": _spec(fields),
        "label": _with(fields.get("label"), transform="raw"),
        "data": _with(fields.get("data"), universe_sha256=None),
        "folds": _folds(fields.get("folds")),
        "metrics": _metrics(fields.get("metrics")),
        "bootstrap": {"block_dates": 0, "draws": 0, "seed": 0, "level": 0.95},
        "verdict": _verdict(fields),
        "holdout_reused_by": 0,
        "gate": _with(fields.get("gate"), test=None, champion_generation=None),
        "remarks": [*_items(fields.get("remarks")), REMARK],
        "schema_version": 2,
    }


def _spec(fields: Mapping[str, object]) -> dict[str, object]:
    data, split = _members(fields.get("data")), _members(fields.get("split"))
    return {
        "symbols": _asked_symbols(data),
        "lookback": data.get("lookback"),
        "test_size": split.get("test_size"),
        "seed": fields.get("seed"),
        "folds": len(_items(fields.get("folds"))),
        "horizon_bars": fields.get("horizon_bars"),
        "embargo_bars": split.get("embargo_bars"),
        "objective": fields.get("objective"),
        "feature_set": _members(fields.get("feature_set")).get("name"),
        "activate": _members(fields.get("gate")).get("policy"),
        "refit": "full" if fields.get("served") == "refit" else "none",
        "label_delay_bars": fields.get("label_delay_bars"),
        "interval": fields.get("interval"),
        "label": "raw",
        "train_window": 0,
        "rounds": fields.get("rounds"),
        "params": {},
        "gate_min_dates": 0,
        "gate_margin": 0.0,
        "cost_bps": 0.0,
        "universe_file": None,
        "note": None,
    }


def _asked_symbols(data: Mapping[str, object]) -> list[object]:
    """Those with bars and those without, in the order of their names where they have some."""
    skipped = [_members(each).get("symbol") for each in _items(data.get("skipped_symbols"))]
    symbols = [*_items(data.get("symbols")), *_items(data.get("holdout_only_symbols")), *skipped]
    return sorted(symbols, key=str)


def _metrics(metrics: object) -> object:
    """`ic` and `rank_ic` are means by date in schema 2; those of schema 1 were of all rows."""
    if not isinstance(metrics, Mapping):
        return metrics
    return {
        _RENAMED_METRICS.get(name, name): _with(estimate, **_ESTIMATE)
        for name, estimate in metrics.items()
    }


def _folds(folds: object) -> object:
    if not isinstance(folds, list):
        return folds
    return [
        _with(fold, metrics=_metrics(_members(fold).get("metrics")), **_EVALUATION)
        for fold in folds
    ]


def _verdict(fields: Mapping[str, object]) -> dict[str, object]:
    """A metric without an interval shows no edge."""
    metric, null = _PRIMARY_METRICS.get(str(fields.get("objective")), ("", 0.0))
    estimate = _members(_members(fields.get("metrics")).get(metric))
    return {
        "verdict": "no_edge",
        "metric": metric,
        "value": estimate.get("value"),
        "null": null,
        "low": None,
        "high": None,
    }


def _with(value: object, **more: object) -> object:
    return {**value, **more} if isinstance(value, Mapping) else value


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []
