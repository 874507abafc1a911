"""What a view declares is what it uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from flask import Flask, g
from marshmallow import Schema
from tests.web.conftest import KEY, MakeApp
from tests.web.platform import failed_row

from mlengine.web.http import requests
from mlengine.web.http.contract import Contract, contract_of
from mlengine.web.openapi.operations import path_of

QUERIES = {
    "/features": "symbol=AAPL",
    "/bars/quality": "symbol=AAPL",
    "/predict": "symbol=AAPL",
    "/models/compare": "a=v2&b=v2",
}
BODIES: Mapping[str, object] = {"/predict/batch": {"symbols": ["AAPL"]}}


@pytest.fixture
def app(make_app: MakeApp, tiny: object, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Each request leaves the schemas that it was read by."""
    load = requests._load

    def load_and_note(schema: Schema, values: Mapping[str, object]) -> requests.Parameters:
        g.setdefault("schemas", []).append(schema)
        return load(schema, values)

    monkeypatch.setattr(requests, "_load", load_and_note)
    tiny.audit.rows.append(failed_row())  # type: ignore[attr-defined]
    return make_app(PUBLIC_ACTIVATION="true", ENV="development")


def contracts(app: Flask) -> Iterator[tuple[str, str, Contract]]:
    for rule in app.url_map.iter_rules():
        contract = contract_of(app.view_functions[rule.endpoint])
        path = path_of(rule).replace("{version}", "v2").replace("{prediction_id}", "p9")
        assert contract
        for method in (rule.methods or set()) & {"GET", "POST", "DELETE"}:
            yield path, method, contract


def test_every_view_reads_its_request_by_the_schemas_that_it_declares(app: Flask) -> None:
    seen: list[list[Schema]] = []
    app.after_request(lambda response: seen.append(g.get("schemas", [])) or response)  # type: ignore[func-returns-value]
    client = app.test_client()
    for path, method, contract in contracts(app):
        short = path.removeprefix("/api/v1")
        client.open(
            f"{path}?{QUERIES.get(short, '')}",
            method=method,
            json=BODIES.get(short, {} if contract.body else None),
            headers=KEY,
        )
        declared = [schema for schema in (contract.query, contract.body) if schema is not None]
        assert [*map(type, seen[-1])] == [*map(type, declared)], f"{method} {path}"
