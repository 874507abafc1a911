from __future__ import annotations

from datetime import timedelta

import polars as pl
from tests.core.features.planted import CLOSE, HONEST, LOW, VOLUME, WINDOW, a_set, feature
from tests.factories import START, panel

from mlengine.core.features import FeatureSet
from mlengine.core.features.kernels import mean
from mlengine.core.features.leaks.check import check_for_leaks
from mlengine.core.features.leaks.history import BARS_PER_SYMBOL, check_history

SHORT = panel(2, rows=90)
LONG = panel(2, rows=BARS_PER_SYMBOL + 100)
OLD = pl.col("timestamp") == START + timedelta(days=WINDOW + 20)


AMOUNTS = {
    "log price": CLOSE.log(),
    "move": CLOSE - CLOSE.shift(1),
    "log volume": VOLUME.log(),
    "turnover": CLOSE * VOLUME,
}
RATIOS = {
    "of day": CLOSE / LOW,
    "log return": (CLOSE / CLOSE.shift(1)).log(),
    "of volume": VOLUME / mean(VOLUME, bars=20),
}


def _declared(exprs: dict[str, pl.Expr], *, scale_free: bool) -> FeatureSet:
    features = [feature(name, expr, 20, scale_free=scale_free) for name, expr in exprs.items()]
    return a_set("declared", *features)


def test_what_is_counted_in_money_or_shares_is_not_scale_free() -> None:
    report = check_for_leaks(SHORT, _declared({**AMOUNTS, **RATIOS}, scale_free=True), cuts=2)
    assert [(each.feature, each.test) for each in report.breaches] == [
        (name, "scale") for name in AMOUNTS
    ]
    assert check_for_leaks(SHORT, _declared(AMOUNTS, scale_free=False), cuts=2).ok


def test_a_leak_that_shows_long_ago_alone_is_found() -> None:
    leak = pl.when(OLD).then(CLOSE.shift(-1)).otherwise(CLOSE) / LOW
    leaking = a_set("old", HONEST, feature("it", leak, 2))
    newest = LONG.filter(pl.col("timestamp") > START + timedelta(days=100))
    assert check_for_leaks(newest, leaking, cuts=4).ok
    report = check_history(LONG, leaking)
    assert ("it", "window") in {(each.feature, each.test) for each in report.breaches}
    assert (report.rows, report.symbols) == (LONG.height, ("S00", "S01"))
    assert check_history(LONG, _declared(RATIOS, scale_free=True)).ok
