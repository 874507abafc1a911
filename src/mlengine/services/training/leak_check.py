"""Before a training computes features: does the set look beyond its window?"""

import logging

import polars as pl

from mlengine.core.features import BUILTIN, FeatureSet
from mlengine.core.features.leaks.check import ROWS_BEYOND_WINDOW
from mlengine.core.features.leaks.history import check_history
from mlengine.errors import TrainingFailed

log = logging.getLogger(__name__)

# Wrongly declared, which spoils the watch for drift and nothing else.
_NOT_A_LEAK = "scale"


def refuse_leaks(
    feature_set: FeatureSet, bars: pl.DataFrame, *, polars_version: str = pl.__version__
) -> None:
    """Check a user's own set on the run's own bars, all of them; the built-in ones are tested.

    What limits the check on this Polars is logged, and what is wrongly declared `scale_free`.
    Raises TrainingFailed with the first failing feature, its test and its row.
    """
    if BUILTIN.get(feature_set.name) is feature_set:
        return
    longest = bars.group_by("symbol").len()["len"].max()
    if not isinstance(longest, int) or longest < feature_set.window_bars + ROWS_BEYOND_WINDOW:
        return  # nor has the run a single labelled row
    report = check_history(bars, feature_set, polars_version=polars_version)
    for note in report.notes:
        facts = {"feature_set": feature_set.name, "note": note}
        log.warning("leak check is limited", extra=facts)
    for breach in report.breaches:
        if breach.test == _NOT_A_LEAK:
            log.warning("feature is not scale free", extra={"breach": str(breach)})
    leaks = [breach for breach in report.breaches if breach.test != _NOT_A_LEAK]
    if leaks:
        raise TrainingFailed(
            f"feature set {feature_set.name!r} is refused: {leaks[0]};"
            f" `mlengine features check {feature_set.name}` shows all"
        )
