from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from tests.upstream import Fault, LoopbackUpstream

from mlengine.core.actions.actions import StatedAction
from mlengine.core.actions.kinds import DIVIDEND, SPLIT, SYMBOL_CHANGE
from mlengine.errors import UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.actions.service import parse_actions
from mlengine.stores.market_data.http import HttpMarketData

NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
SPLIT_4 = {"date": "2020-08-31", "kind": "split", "value": 4, "announced": "2020-07-30"}


def ask(upstream: LoopbackUpstream, *symbols: str):
    source = HttpMarketData(
        upstream.url,
        timeout_seconds=2.0,
        retry_attempts=0,
        retry_backoff_seconds=0.0,
        deadline_seconds=5.0,
    )
    return source.actions(symbols, now=NOW)


def test_actions_are_asked_for_from_the_beginning_to_a_year_from_now():
    with LoopbackUpstream() as upstream:
        upstream.actions["A"] = [
            SPLIT_4,
            {"ex_date": "2020-08-07", "kind": "dividend", "value": "0.82"},
        ]
        stated = ask(upstream, "A")
    assert stated["A"] == (
        StatedAction("A", date(2020, 8, 31), SPLIT, 4.0, announced=date(2020, 7, 30)),
        StatedAction("A", date(2020, 8, 7), DIVIDEND, 0.82),
    )
    assert [(each.path, each.query) for each in upstream.requests] == [
        (
            "/actions",
            {"symbol": "A", "start": "1970-01-01T00:00:00Z", "end": "2027-03-02T15:30:00Z"},
        )
    ]


def test_actions_of_another_symbol_are_refused():
    with pytest.raises(UpstreamInvalid, match="another symbol than asked: 'B'"):
        parse_actions({"symbol": "B", "actions": [SPLIT_4]}, "A")
    assert parse_actions({"symbol": "brk-b", "actions": [SPLIT_4]}, "BRK.B")[0].symbol == "BRK.B"


@pytest.mark.parametrize("status", [204, 404, 405, 410])
def test_a_service_without_such_a_route_has_none(status):
    with LoopbackUpstream() as upstream:
        upstream.always = Fault(status=status, body=b"")
        assert ask(upstream, "A", "B") == {"A": (), "B": ()}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=401), UpstreamInvalid),
        (Fault(status=503), UpstreamUnavailable),
        (Fault(body=b"<html>"), UpstreamInvalid),
        (Fault(body=b'{"actions": null}'), UpstreamInvalid),
        (Fault(body=b"[7]"), UpstreamInvalid),
    ],
)
def test_what_is_no_answer_is_an_error_of_that_symbol(fault, error):
    with LoopbackUpstream() as upstream:
        upstream.actions["B"] = [SPLIT_4]
        upstream.fail(fault)
        stated = ask(upstream, "A", "B")
    assert isinstance(stated["A"], error)
    assert stated["B"][0].value == 4.0


def test_a_field_that_is_refused_is_named():
    with pytest.raises(UpstreamInvalid, match=r"action 2, column 'value': '4:1': expected "):
        parse_actions([SPLIT_4, {**SPLIT_4, "value": "4:1"}], "A")


def test_actions_of_another_symbol_are_refused_but_changes_from_and_to_it():
    change = {"date": "2022-06-09", "kind": "symbol_change", "symbol": "FB", "new_symbol": "META"}
    of_meta = StatedAction("META", date(2022, 6, 9), SYMBOL_CHANGE, 1.0, "FB")
    assert parse_actions([change], "META") == (of_meta,)
    assert parse_actions([change], "FB") == ()
    with pytest.raises(UpstreamInvalid, match="expected A, for which was asked"):
        parse_actions([change], "A")
    with pytest.raises(UpstreamInvalid, match="expected A, for which was asked"):
        parse_actions([{**SPLIT_4, "symbol": "B"}], "A")
