"""No model is trained on features that leak."""

import logging

import polars as pl

from mlengine.core.features import BUILTIN, FeatureSet
from mlengine.core.features.leaks.check import ROWS_BEYOND_WINDOW, check_for_leaks
from mlengine.errors import TrainingFailed

log = logging.getLogger(__name__)

# Enough for every test; the whole history would take minutes.
SYMBOLS = 3
BARS_PER_SYMBOL = 400
WINDOWS_PER_SYMBOL = 4
CUTS = 4


def refuse_leaks(
    feature_set: FeatureSet, bars: pl.DataFrame, *, polars_version: str = pl.__version__
) -> None:
    """Check a user's own set on the newest of the run's own bars; the built-in ones are tested.

    What limits the check on this Polars is logged.
    Raises TrainingFailed with the first failing feature, its test and its row.
    """
    if BUILTIN.get(feature_set.name) is feature_set:
        return
    sample = _sample(bars, max(BARS_PER_SYMBOL, WINDOWS_PER_SYMBOL * feature_set.window_bars))
    longest = sample.group_by("symbol").len()["len"].max()
    if not isinstance(longest, int) or longest < feature_set.window_bars + ROWS_BEYOND_WINDOW:
        return  # nor has the run a single labelled row
    report = check_for_leaks(sample, feature_set, cuts=CUTS, polars_version=polars_version)
    for note in report.notes:
        facts = {"feature_set": feature_set.name, "note": note}
        log.warning("leak check is limited", extra=facts)
    if not report.ok:
        raise TrainingFailed(
            f"feature set {feature_set.name!r} is refused: {report.breaches[0]};"
            f" `mlengine features check {feature_set.name}` shows all"
        )


def _sample(bars: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The newest `rows` bars of the few symbols with the longest histories."""
    symbol = pl.col("symbol")
    by_length = bars.group_by("symbol").len().sort("len", "symbol", descending=[True, False])
    chosen = by_length["symbol"].head(SYMBOLS).to_list()
    ordered = bars.filter(symbol.is_in(chosen)).sort("symbol", "timestamp")
    return ordered.group_by("symbol", maintain_order=True).tail(rows)
