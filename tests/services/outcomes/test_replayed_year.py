from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import select
from tests.factories import START
from tests.replayed_market import (
    DAY,
    FIRST_DAY,
    ReplayedMarket,
    do_nothing,
    replayed_market,
)

from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.audit.filter import EVERYTHING
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import outcomes

H = 5
SYMBOLS = ("CALM", "LATE", "HOLEY", "PAYER", "GONE", "ENDED")
Row = dict[str, object]


def outcome_rows(market: ReplayedMarket) -> list[Row]:
    query = select(outcomes).order_by(outcomes.c.bar_timestamp, outcomes.c.symbol)
    with reading(market.platform.control.database) as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def ex_date(day: int) -> str:
    return str((START + day * DAY).date())


def adjusted_closes(market: ReplayedMarket, symbol: str, last_day: int) -> pl.DataFrame:
    """Closes as a reader of the upstream's raw bars and actions adjusts them."""
    bars = market.served(symbol, last_day).sort("timestamp")
    times, closes = bars["timestamp"].to_list(), bars["close"].to_list()
    factors = [1.0] * len(closes)
    actions = market.upstream.actions.get(symbol, [])
    for action in sorted(actions, key=lambda each: each["date"]):
        day = date.fromisoformat(action["date"])
        before = [at for at in range(len(times)) if times[at].date() < day]
        if len(before) == len(times):
            continue
        value, last = action["value"], closes[before[-1]]
        for at in before:
            if action["kind"] == "split":
                factors[at] /= value
            else:
                factors[at] *= 1.0 - value / last
    return pl.DataFrame(
        {"timestamp": times, "close": [c * f for c, f in zip(closes, factors, strict=True)]}
    )


def run_year(folder: Path, days: int) -> tuple[list[Row], ReplayedMarket, pl.DataFrame]:
    """Outcomes of a market of so many days, and the audit as it is exported."""
    first, last = FIRST_DAY, FIRST_DAY + days
    half = first + days // 2
    faults = {
        "comes_late": {("LATE", day): 1 + day % 3 for day in range(first + 3, last, 7)},
        "never": frozenset(("HOLEY", day) for day in range(half, half + 4)),
        "gone": {"GONE": half},
    }
    with replayed_market(folder, SYMBOLS, days=last + 60, **faults) as market:
        market.upstream.actions["PAYER"] = [
            {"date": ex_date(half), "kind": "dividend", "value": 2.5},
            {"date": ex_date(half + 3), "kind": "split", "value": 4},
        ]
        market.never |= frozenset(("ENDED", day) for day in range(half, last + 60))

        def ask_again(day: int) -> None:
            if (day - first) % 3 == 0:
                market.predict(day)
                past = PredictionRequest("past", market.now(day), as_of=market.now(day - 9))
                market.platform.predict.predict("CALM", past)

        market.between = ask_again
        market.run(range(first, last))
        market.between = do_nothing
        market.run(range(last, last + H + 1), predict=False)
        after = outcome_rows(market)
        market.run([last + H + 30], predict=False)
        everything = outcome_rows(market)
        assert [row for row in after if row["state"] != "pending"] == [
            row
            for row in everything
            if row["decided_at"] <= market.now(last + H)  # type: ignore[operator]
        ]
        path = folder / "audit.parquet"
        market.platform.audit.export(path, EVERYTHING)
        return everything, market, pl.read_parquet(path)


def check_year(folder: Path, days: int) -> None:
    rows, market, audit = run_year(folder, days)
    live = audit.filter(pl.col("ok") & ~pl.col("in_sample") & (pl.col("as_of") == pl.col("at")))
    first = live.unique(["model_version", "symbol", "bar_timestamp"], keep="first")
    counted = [row for row in rows if row["state"] != "late" or row["symbol"] != "CALM"]
    assert sorted((row["symbol"], row["bar_timestamp"]) for row in counted) == sorted(
        first.select("symbol", "bar_timestamp").iter_rows()
    )
    by_symbol = {name: Counter() for name in SYMBOLS}
    for row in rows:
        by_symbol[str(row["symbol"])][f"{row['state']} {row['reason'] or ''}".strip()] += 1
    assert by_symbol["CALM"] == {"scored": days, "late asked_too_late": 3}
    assert by_symbol["PAYER"] == {"scored": days}
    assert set(by_symbol["LATE"]) <= {"scored", "late asked_too_late"}
    assert by_symbol["LATE"]["scored"] > 0.7 * days
    assert by_symbol["HOLEY"]["void label_across_hole"] == H
    assert by_symbol["GONE"]["void unknown_symbol"] == H
    assert by_symbol["ENDED"]["void no_bars"] == H
    assert not any("pending" in state for counts in by_symbol.values() for state in counts)
    ups, said = [], []
    asked = dict(first.select("prediction_id", "probability_up").iter_rows())
    for row in rows:
        if row["state"] != "scored":
            continue
        decided_on = (row["decided_at"] - START) // timedelta(days=1) - 1  # type: ignore[operator]
        closes = adjusted_closes(market, str(row["symbol"]), decided_on)
        at = closes["timestamp"].to_list().index(row["bar_timestamp"])
        begins, ends = closes["close"][at], closes["close"][at + H]
        assert row["forward_return"] == ends / begins - 1.0
        assert row["label"] == float(ends > begins)
        assert row["label_ends"] == closes["timestamp"][at + H]
        assert row["last_return"] == closes["close"][at] / closes["close"][at - 1] - 1.0
        assert row["score"] == asked[row["prediction_id"]]
        ups.append(float(ends > begins))
        said.append(asked[row["prediction_id"]])
        assert row["decided_at"] <= row["overdue_at"] or row["symbol"] in ("LATE", "HOLEY")
    check_figures(market, np.array(ups), np.array(said))


def check_figures(market: ReplayedMarket, ups: Floats, said: Floats) -> None:
    """What is told of a version is what its audit and the bars give, to the last digit."""
    now = market.now(len(market.bars["CALM"]))
    answer = market.platform.performance.performance(
        version="v1", window=1000, symbol=None, group=None, now=now
    )
    figures = {name: each.value for name, each in answer.metrics.items()}
    assert answer.rows == answer.coverage.scored == len(ups)
    assert answer.coverage.pending == answer.coverage.not_due == 0
    assert figures["auc"] == metrics.auc(ups, said)
    assert figures["log_loss"] == metrics.log_loss(ups, said)
    assert figures["brier"] == metrics.brier(ups, said)
    assert figures["accuracy"] == metrics.hit_rate(ups, said >= 0.5)
    assert answer.training.metrics["auc"].value == 0.5


def test_each_due_prediction_has_one_outcome_whatever_the_feed_does(tmp_path: Path) -> None:
    check_year(tmp_path, 10)


@pytest.mark.soak
def test_so_it_has_over_a_year(tmp_path: Path) -> None:
    check_year(tmp_path, 250)
