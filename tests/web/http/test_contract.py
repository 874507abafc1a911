"""A deprecated route says so in its answers and in the document."""

from __future__ import annotations

from datetime import date

from tests.web.conftest import MakeApp

from mlengine.web.http.auth import public
from mlengine.web.http.contract import Deprecation, contract_of, says
from mlengine.web.openapi.answer_schemas import AnswerSchemas
from mlengine.web.openapi.operations import operation

OLD = Deprecation(date(2027, 1, 31), date(2027, 8, 1), "/models")


def test_a_deprecated_route_says_since_when_until_when_and_what_instead(make_app: MakeApp) -> None:
    @public
    @says(answers={200: dict[str, str]}, deprecated=OLD)
    def old() -> dict[str, str]:
        """The old way."""
        return {"a": "b"}

    app = make_app()
    app.add_url_rule("/old", "health.old", old)
    headers = app.test_client().get("/old").headers
    assert headers["Deprecation"] == "@1801353600"
    assert headers["Sunset"] == "Sun, 01 Aug 2027 00:00:00 GMT"
    assert headers["Link"] == '</models>; rel="successor-version"'
    (rule,) = app.url_map.iter_rules("health.old")
    assert operation(rule, "GET", old, AnswerSchemas())["deprecated"] is True


def test_no_other_route_says_so(make_app: MakeApp) -> None:
    app = make_app()
    for path in ("/health", "/nowhere"):
        assert not {"Deprecation", "Sunset"} & {*app.test_client().get(path).headers.keys()}
    contracts = [contract_of(view) for view in app.view_functions.values()]
    assert all(contract and contract.deprecated is None for contract in contracts)
