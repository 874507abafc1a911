"""A model card: one Markdown page about a version, made of its manifest and its holdout.

After Mitchell et al. 2019: what it is for, what it was made of, how good it is and where, and
what it can't do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.core.evaluation import MetricEstimate
from mlengine.core.versions.manifest import Manifest
from mlengine.core.versions.series import SERIES_COLUMNS, adjustment_line, series_row

_MOST_IMPORTANT = 20
_PURPOSES = {
    "direction": "the probability that the close is higher",
    "return": "the simple return of the close",
}


def render_model_card(manifest: Manifest, holdout: pl.DataFrame) -> str:
    """The page; `holdout` has symbol, timestamp, label and score, one row a judged row."""
    sections: list[tuple[str, Iterable[str]]] = [
        ("Purpose", _purpose(manifest)),
        ("Data", _data(manifest)),
        ("Label", _label(manifest)),
        ("Universe and survivorship", _universe(manifest)),
        ("Bars", _bars(manifest)),
        ("How it was split", _split(manifest)),
        ("Metrics on the holdout", _metrics(manifest)),
        ("By year", _by(manifest, holdout, pl.col("timestamp").dt.year().cast(pl.String), "year")),
        ("By symbol", _by(manifest, holdout, pl.col("symbol"), "symbol")),
        ("Importances", _importances(manifest)),
        ("Gate", _gate(manifest)),
        ("Limits", _limits(manifest)),
    ]
    name = manifest.version or "a draft"
    body = (f"## {title}\n\n" + "\n".join(lines) for title, lines in sections)
    return f"# Model card: {name}\n\n" + "\n\n".join(body) + "\n"


def _purpose(manifest: Manifest) -> Iterator[str]:
    ahead = f"{manifest.horizon_bars} bars of {manifest.interval} ahead"
    what = _PURPOSES[manifest.objective]
    if manifest.label.transform == "cs_zscore":
        what += ", as a z-score among the symbols of the date (a rank of symbols, not a return)"
    yield f"Foretells {what}, {ahead}, from the features `{manifest.feature_set.name}`."
    seen = _day(manifest.candidate_trained_through)
    yield f"Served is the {manifest.served}, trained through {_day(manifest.trained_through)}."
    yield f"Metrics are about the candidate, trained through {seen}, which never saw the holdout."


def _data(manifest: Manifest) -> Iterator[str]:
    data = manifest.data
    yield from _table(
        ("what", "value"),
        [
            ("bars", f"{data.rows:,} of {manifest.interval}"),
            ("from, to", f"{_day(data.start)}, {_day(data.end)}"),
            ("known at", f"{manifest.as_of:%Y-%m-%dT%H:%M:%SZ}"),
            ("labelled rows", f"{data.labelled_rows:,}"),
            ("SHA-256 of the bars", f"`{data.bars_sha256}`"),
            ("features", f"{len(manifest.feature_set.features)}, `{manifest.feature_set.hash}`"),
            ("fingerprint", f"`{manifest.fingerprint}`"),
            ("candidate's fingerprint", f"`{manifest.candidate_fingerprint}`"),
            ("trees", f"{manifest.best_iteration} of at most {manifest.rounds}"),
            ("reproducible", "yes" if manifest.reproducible else "no"),
            ("seed", str(manifest.seed)),
            ("parameters", ", ".join(f"{k} {v}" for k, v in sorted(manifest.params.items()))),
        ],
    )


def _label(manifest: Manifest) -> Iterator[str]:
    label = manifest.label
    yield f"`{label.kind}` over {label.horizon_bars} bars, begun {label.delay_bars} bars after the"
    yield f"feature bar, transform `{label.transform}`. Exact zeros: {manifest.zero_share:.2%};"
    yield f"share of rises in the candidate's training rows: {manifest.base_rate:.2%}."


def _universe(manifest: Manifest) -> Iterator[str]:
    data = manifest.data
    yield f"{len(data.symbols)} symbols: {', '.join(data.symbols)}."
    if data.holdout_only_symbols:
        yield f"Only judged, not trained on: {', '.join(data.holdout_only_symbols)}."
    for skipped in data.skipped_symbols:
        yield f"Skipped: {skipped.symbol} ({skipped.reason})."
    yield f"Survivorship: {data.survivorship}."
    if data.universe_sha256:
        yield f"Rows are limited to membership by a file with SHA-256 `{data.universe_sha256}`."
    else:
        yield "Whoever chose the symbols knew which of them would last: figures lean to the good."


def _bars(manifest: Manifest) -> Iterator[str]:
    if manifest.data.series:
        yield from _table(SERIES_COLUMNS, [series_row(each) for each in manifest.data.series])
    else:
        yield "Their quality was not measured."
    yield ""
    yield adjustment_line(manifest.data)


def _split(manifest: Manifest) -> Iterator[str]:
    split, window = manifest.split, manifest.spec.train_window
    parts = {"fit": split.fit, "stop": split.stop, "holdout": split.holdout}
    yield from _table(
        ("part", "from", "to", "rows"),
        [
            (name, _day(part.start), _day(part.end), f"{part.rows:,}")
            for name, part in parts.items()
        ],
    )
    yield ""
    yield f"{split.purged_rows} rows before the holdout and {split.purged_stop_rows} before the"
    yield f"stopping tail are purged; embargo {split.embargo_bars} bars;"
    yield f"{len(manifest.folds)} folds, {f'window of {window} dates' if window else 'expanding'}."


def _metrics(manifest: Manifest) -> Iterator[str]:
    verdict = manifest.verdict
    value, interval = _number(verdict.value), _interval(verdict.low, verdict.high)
    null, level = _number(verdict.null), f"level {verdict.level:.5g}"
    yield f"Verdict: **{verdict.verdict}**, by {verdict.metric} {value} ({interval}) against"
    yield f"{null} ({level}, recipes on its dates: {verdict.recipes})."
    yield f"Earlier versions whose holdout shares dates with it: {manifest.holdout_reused_by}."
    yield ""
    yield from _table(
        ("metric", "value", "95 % interval", "baseline", "which", "better by", "95 % interval"),
        [_estimate(name, estimate) for name, estimate in _estimates(manifest).items()],
    )
    rule = manifest.sign_rule
    yield ""
    yield f"Holding the sign of each forecast: {_number(rule.net_return)} a bar after costs of"
    yield f"{_number(rule.cost_bps)} bps ({_interval(rule.net_low, rule.net_high)}); buying and"
    yield f"holding: {_number(rule.buy_and_hold)}. No verdict: a long bias in a rise is no skill."


def _estimates(manifest: Manifest) -> Mapping[str, MetricEstimate]:
    """The metrics, and the calibration of a model of probabilities."""
    fitted = manifest.calibration
    if fitted is None:
        return manifest.metrics
    lines = {"calibration slope": fitted.slope, "calibration intercept": fitted.intercept}
    return {**manifest.metrics, **lines}


def _estimate(name: str, estimate: MetricEstimate) -> tuple[str, ...]:
    value = _number(estimate.value) + (f" ({estimate.reason})" if estimate.reason else "")
    interval = _interval(estimate.low, estimate.high)
    better = _interval(estimate.improvement_low, estimate.improvement_high)
    paired = (_number(estimate.improvement), better)
    return name, value, interval, _number(estimate.baseline), estimate.baseline_kind, *paired


def _by(manifest: Manifest, holdout: pl.DataFrame, key: pl.Expr, title: str) -> Iterator[str]:
    columns = _DIRECTION if manifest.objective == "direction" else _RETURN
    groups = holdout.with_columns(key.alias("group")).partition_by(
        "group", as_dict=True, maintain_order=True
    )
    yield from _table(
        (title, "n", *columns),
        [
            (str(name), f"{rows.height:,}", *_figures(rows, columns.values()))
            for (name,), rows in sorted(groups.items())
        ],
    )


def _hit_rate(labels: Floats, scores: Floats) -> float:
    """Of the rows that moved, as the manifest's."""
    moved = labels != 0.0
    return metrics.hit_rate(labels[moved], scores[moved] > 0.0)


_Figure = Callable[[Floats, Floats], float]
_DIRECTION: Mapping[str, _Figure] = {
    "AUC": metrics.auc,
    "log-loss": metrics.log_loss,
    "accuracy": lambda labels, scores: metrics.hit_rate(labels, scores >= 0.5),
    "share of rises": lambda labels, _: float(np.mean(labels > 0.0)),
}
_RETURN: Mapping[str, _Figure] = {
    "pooled IC": metrics.correlation,
    "MSE": metrics.mse,
    "hit rate": _hit_rate,
    "mean label": lambda labels, _: float(np.mean(labels)),
}


def _figures(rows: pl.DataFrame, figures: Iterable[_Figure]) -> list[str]:
    labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    return [_number(figure(labels, scores)) for figure in figures]


def _importances(manifest: Manifest) -> Iterator[str]:
    gains = manifest.importances
    total = sum(gains.values())
    used = {name: gain for name, gain in gains.items() if gain > 0.0}
    ranked = sorted(used.items(), key=lambda each: (-each[1], each[0]))
    yield f"Of the served {manifest.served}: {len(used)} of {len(gains)} features are used."
    yield ""
    yield from _table(
        ("feature", "share of the gain"),
        [(f"`{name}`", f"{gain / total:.1%}") for name, gain in ranked[:_MOST_IMPORTANT]],
    )
    if len(ranked) > _MOST_IMPORTANT:
        yield f"\n{len(ranked) - _MOST_IMPORTANT} more are left out here."


def _gate(manifest: Manifest) -> Iterator[str]:
    gate = manifest.gate
    result = "promoted" if gate.promote else "not promoted"
    champion = gate.champion or "none"
    yield f"Policy `{gate.policy}`: {result} (`{gate.reason}`); champion: {champion}."
    yield ""
    for name, loss in gate.losses.items():
        yield f"- loss of {name}: {_number(loss)}"


def _limits(manifest: Manifest) -> Iterator[str]:
    yield "- Bars are taken as they were served; later adjustments revise history."
    yield f"- Only for bars of {manifest.interval} and the symbols above; others are extrapolation."
    yield "- An interval tells of chance on this holdout, not of a market that changes."
    for remark in manifest.remarks:
        yield f"- {remark}"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{' --- |' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.6g}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.6g} to {high:.6g}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
