"""A bare date in `as_of` is the end of that session, whenever that is in a symbol's market."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.cases.world import World, walk, weekdays

from mlengine.core.timestamps import rfc3339

DAYS, ROWS = weekdays(400), walk(400)


def test_with_a_calendar_a_date_ends_with_the_close(world: World) -> None:
    """New York closes at 20:00 or 21:00 UTC, Tokyo in the morning."""
    symbols = "symbol,calendar\nNY,XNYS\nTOKYO,XTKS\n"
    world.write("symbols.csv", symbols)
    for symbol in ("NY", "TOKYO"):
        world.csv(f"{symbol}.csv", DAYS, ROWS)
    day = next(each for each in reversed(DAYS[:-5]) if each.month not in (3, 11, 12))
    hours = {"NY": {20, 21}, "TOKYO": {6}}
    for symbol, closes in hours.items():
        answer = world.predict(symbol, as_of=day)
        assert answer["bar_timestamp"] == f"{day}T00:00:00Z"
        assert datetime.fromisoformat(answer["as_of"]).hour in closes
        again = world.predict(symbol, as_of=answer["as_of"])
        assert again["bar_timestamp"] == answer["bar_timestamp"]
        assert again["probability_up"] == answer["probability_up"]


def test_a_batch_over_markets_takes_each_at_its_own_end(world: World) -> None:
    world.write("symbols.csv", "symbol,calendar\nNY,XNYS\nTOKYO,XTKS\n")
    for symbol in ("NY", "TOKYO"):
        world.csv(f"{symbol}.csv", DAYS, ROWS)
    body = {"symbols": ["NY", "GOOD", "NOPE", "TOKYO", "NY"], "as_of": str(DAYS[-9])}
    status, batch = world.post("/predict/batch", body)
    assert status == 200
    results = batch["results"]
    assert [each["symbol"] for each in results] == body["symbols"]
    assert [each["status"] for each in results] == ["ok", "ok", "error", "ok", "ok"]
    bars = {each["bar_timestamp"] for each in results if each["status"] == "ok"}
    assert bars == {f"{DAYS[-9]}T00:00:00Z"}
    assert len({each["as_of"] for each in results if each["status"] == "ok"}) == 3
    assert batch["summary"] == {"requested": 5, "succeeded": 4, "failed": 1}


def test_a_date_that_lies_ahead_is_refused(world: World) -> None:
    today = datetime.now(UTC).date()
    for day in (today, today + timedelta(days=1)):
        assert set(world.refusal("GOOD", as_of=day)["errors"]) == {"as_of"}


def test_features_of_a_date_say_the_moment(world: World) -> None:
    status, body = world.get("/features", symbol="GOOD", as_of=DAYS[-3], limit=1)
    assert (status, body["features"][-1]["timestamp"]) == (200, f"{DAYS[-3]}T00:00:00Z")
    midnight = datetime.combine(DAYS[-3] + timedelta(days=1), datetime.min.time(), UTC)
    assert body["as_of"] == rfc3339(midnight)


def test_a_delisted_symbol_is_not_stale_and_not_usable(world: World) -> None:
    world.configure(ENV="production")
    ended = DAYS[-60]
    lines = f"GONE,XNYS,USD,{ended}\nLATE,XNYS,USD,\n"
    world.write("symbols.csv", f"symbol,calendar,currency,to\n{lines}")
    for symbol in ("GONE", "LATE"):
        world.csv(f"{symbol}.csv", DAYS[:-59], ROWS[:-59])
    gone, late = world.predict("GONE"), world.predict("LATE")
    assert (gone["stale"], gone["usable"], gone["reasons"]) == (False, False, ["delisted"])
    assert (late["stale"], late["usable"], late["reasons"]) == (True, False, ["bar_too_old"])
    before = world.predict("GONE", as_of=ended)
    assert (before["bar_timestamp"], "delisted" in before["reasons"]) == (
        f"{ended}T00:00:00Z",
        False,
    )
    fresh = {each["symbol"]: each for each in world.get("/monitoring/freshness")[1]["symbols"]}
    assert (fresh["GONE"]["stale"], fresh["GONE"]["age_bars"]) == (False, 0)
    assert fresh["LATE"]["stale"]
    quality = world.get("/bars/quality", symbol="GONE")[1]
    assert (quality["missed_bars"], quality["currency"]) == (0, "USD")
