"""Splits, dividends and adjusted closes, through the doors of a whole platform."""

from __future__ import annotations

import pytest
from tests.cases.world import Row, World, assert_equal_features, walk, weekdays

DAYS, SMOOTH = weekdays(600), walk(600)
SPLIT_AT = 560
ACTIONS = "symbol,date,kind,value,announced\n"


def traded(at: int = SPLIT_AT, ratio: float = 4.0) -> list[Row]:
    """SMOOTH as it is traded when there is a split; its newest prices are the same."""
    return [
        (o * ratio, h * ratio, low * ratio, c * ratio, v / ratio) if i < at else (o, h, low, c, v)
        for i, (o, h, low, c, v) in enumerate(SMOOTH)
    ]


def test_an_announced_split_is_adjusted_for_where_the_setting_says_so(world: World) -> None:
    world.configure(MARKET_DATA_ADJUST="splits", ENV="production")
    world.csv("SMOOTH.csv", DAYS, SMOOTH)
    world.csv("SPLT.csv", DAYS, traded())
    world.csv("OTHER.csv", DAYS, traded())
    split = f"{DAYS[SPLIT_AT]},split,4"
    world.write("actions.csv", f"{ACTIONS}SPLT,{split},{DAYS[500]}\n")
    assert_equal_features(world, "SMOOTH", "SPLT")
    assert "unexplained_jump" not in world.predict("SPLT")["reasons"]
    other = world.predict("OTHER")
    assert "unexplained_jump" in other["reasons"]
    assert other["usable"] is False


def test_bars_are_as_served_without_the_setting(world: World) -> None:
    world.csv("SPLT.csv", DAYS, traded())
    world.write("actions.csv", f"{ACTIONS}SPLT,{DAYS[SPLIT_AT]},split,4,\n")
    returns = [row["return_1"] for row in world.features("SPLT", limit=100)]
    assert min(returns) < -0.7
    assert "unexplained_jump" in world.predict("SPLT")["reasons"]


@pytest.mark.parametrize(("adjust", "smooth"), [("none", False), ("splits", False), ("all", True)])
def test_of_close_and_adjusted_close_the_setting_takes_one(
    world: World, adjust: str, smooth: bool
) -> None:
    world.configure(MARKET_DATA_ADJUST=adjust)
    lines = [
        f"{day},{o},{h},{low},{c},{adjusted[3]},{v}\n"
        for day, (o, h, low, c, v), adjusted in zip(DAYS, traded(), SMOOTH, strict=True)
    ]
    world.write("DIV.csv", "Date,Open,High,Low,Close,Adj Close,Volume\n" + "".join(lines))
    returns = [row["return_1"] for row in world.features("DIV", limit=100)]
    assert (min(returns) > -0.2) is smooth
    manifest = world.train("DIV")
    assert manifest["data"].get("adjust", "none") == adjust


def test_an_action_is_not_applied_to_an_adjusted_close(world: World) -> None:
    world.configure(MARKET_DATA_ADJUST="all")
    lines = [
        f"{day},{o},{h},{low},{c},{adjusted[3]},{v}\n"
        for day, (o, h, low, c, v), adjusted in zip(DAYS, traded(), SMOOTH, strict=True)
    ]
    world.write("DIV.csv", "Date,Open,High,Low,Close,Adj Close,Volume\n" + "".join(lines))
    world.write("actions.csv", f"{ACTIONS}DIV,{DAYS[SPLIT_AT]},split,4,\n")
    returns = [row["return_1"] for row in world.features("DIV", limit=100)]
    assert max(map(abs, returns)) < 0.2


def test_what_was_adjusted_stands_in_the_manifest(world: World) -> None:
    world.configure(MARKET_DATA_ADJUST="all")
    world.csv("SPLT.csv", DAYS, traded())
    close = traded()[299][3]
    world.write(
        "actions.csv",
        f"{ACTIONS}SPLT,{DAYS[SPLIT_AT]},split,4,\nSPLT,{DAYS[300]},dividend,{close / 100},\n",
    )
    manifest = world.train("SPLT", "GOOD")
    assert manifest["data"]["adjust"] == "all"
    counts = {each["symbol"]: each.get("actions", 0) for each in manifest["data"]["series"]}
    assert counts == {"SPLT": 2, "GOOD": 0}


def test_which_close_was_taken_of_each_file_stands_in_the_manifest(world: World) -> None:
    head = "Date,Open,High,Low,Close,Adj Close,Volume\n"
    lines = "".join(
        f"{day},{o},{h},{low},{c},{c},{v}\n"
        for day, (o, h, low, c, v) in zip(DAYS, SMOOTH, strict=True)
    )
    for name in ("ONE", "TWO", "OTHER"):
        world.write(f"{name}.csv", head + lines)
    world.write("bars.toml", '[files."TWO*"]\nadjusted = true\n')
    symbols = ("ONE", "TWO", "GOOD")
    first = world.train(*symbols)["data"]
    choices = {each["symbol"]: each.get("prices") for each in first["series"]}
    assert choices == {"ONE": "raw", "TWO": "adjusted", "GOOD": None}
    world.predict("OTHER")
    assert world.train(*symbols)["data"] == first, "whatever else was read meanwhile"
    card = world.platform.models.card("v2")
    assert "Of close and adjusted close was taken: ONE raw, TWO adjusted." in card


def test_yesterdays_answer_stays_when_a_dividend_is_paid_later(world: World) -> None:
    world.configure(MARKET_DATA_ADJUST="all")
    world.csv("PAYS.csv", DAYS, SMOOTH)
    then = {"as_of": str(DAYS[-3])}
    before = world.predict("PAYS", **then)["bars_hash"]
    world.write("actions.csv", f"{ACTIONS}PAYS,{DAYS[-2]},dividend,{SMOOTH[-3][3] / 50},\n")
    now = world.predict("PAYS")["bars_hash"]
    assert world.predict("PAYS", **then)["bars_hash"] == before
    assert world.predict("PAYS")["bars_hash"] == now
    world.write("actions.csv", ACTIONS)
    assert world.predict("PAYS")["bars_hash"] != now


def test_a_line_that_is_refused_is_named_and_costs_its_symbol_alone(world: World) -> None:
    world.configure(MARKET_DATA_ADJUST="all")
    world.csv("SPLT.csv", DAYS, traded())
    world.write("actions.csv", f"{ACTIONS}SPLT,{DAYS[SPLIT_AT]},split,4:1,\n")
    body = world.refusal("SPLT")
    assert body["code"] == "upstream_invalid"
    assert "actions.csv, line 2, column 'value': '4:1'" in body["detail"]
    world.predict("GOOD")
