from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.web.conftest import KEY, MakeApp
from tests.web.http.test_errors import problem
from werkzeug.routing import Rule

from mlengine.web.http.contract import contract_of

PREFIXES = ["", "/api/v1"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_lines_are_listed_created_changed_and_retired(client: FlaskClient, prefix: str) -> None:
    names = [line["name"] for line in client.get(f"{prefix}/lines").get_json()["lines"]]
    assert names == ["main", "slow"]
    path = f"{prefix}/admin/lines"
    problem(client.post(path, json={"name": "fast"}), 401, "unauthorized")
    made = client.post(path, json={"name": "fast", "recipe": {"rounds": 5}}, headers=KEY)
    assert (made.status_code, made.get_json()["own"]) == (201, {"rounds": 5})
    assert client.post(path, json={"name": "slow"}, headers=KEY).status_code == 200
    retired = client.post(f"{path}/slow/retire", headers=KEY)
    assert (retired.status_code, retired.get_json()["state"]) == (200, "retired")
    problem(client.post(f"{path}/other/retire", headers=KEY), 404, "model_not_found")
    answer = client.post(f"{path}/main/retire", headers=KEY)
    assert (answer.status_code, answer.get_json()["errors"]["name"]) == (
        422,
        ["main can't be retired"],
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "main"}, "name"),
        ({"name": "a", "interval": "2d"}, "interval"),
        ({"name": "a", "schedule_activate": "maybe"}, "schedule_activate"),
        ({"name": "a", "recipe": {"feature_set": "nope"}}, "recipe.feature_set"),
        ({"name": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_line_that_is_refused_says_which_field(
    client: FlaskClient, body: dict[str, object], field: str
) -> None:
    refused = client.post("/admin/lines", json=body, headers=KEY)
    assert list(problem(refused, 422, "invalid_request")["errors"]) == [field]


def test_all_that_is_refused_of_a_line_is_named_at_once(client: FlaskClient) -> None:
    body = {
        "name": "Slow",
        "interval": "2d",
        "schedule": 3,
        "schedule_activate": "maybe",
        "recipe": {"horizon": 1, "rounds": 0, "feature_set": "nope", "universe_file": "u.csv"},
        "colour": "red",
    }
    refused = client.post("/admin/lines", json=body, headers=KEY)
    assert sorted(problem(refused, 422, "invalid_request")["errors"]) == [
        *("colour", "interval", "name", "recipe.feature_set", "recipe.horizon", "recipe.rounds"),
        *("recipe.universe_file", "schedule", "schedule_activate"),
    ]


def test_query_and_body_name_one_line(client: FlaskClient) -> None:
    refused = client.post("/admin/train?model=main", json={"model": "slow"}, headers=KEY)
    assert list(problem(refused, 422, "invalid_request")["errors"]) == ["model"]


# What is of no line, or of all.
_WITHOUT_LINE = {
    *("health", "documents", "metrics", "lines"),
}


def _rules(app: Flask) -> Iterator[tuple[str, Rule]]:
    for rule in app.url_map.iter_rules():
        blueprint = rule.endpoint.rpartition(".")[0].removeprefix("v1_")
        if blueprint not in _WITHOUT_LINE:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, rule


def test_a_range_that_ends_before_it_begins_is_refused_on_every_route(client: FlaskClient) -> None:
    """Under both prefixes, and an empty one on none."""
    seen = set()
    for method, rule in _rules(client.application):
        contract = contract_of(client.application.view_functions[rule.endpoint])
        if contract is None or contract.query is None:
            continue
        if {"since", "until"} <= contract.query.fields.keys():
            begin, end = "2024-05-02", "2024-05-01T23:59:59Z"
            answer = client.open(f"{rule}?since={begin}&until={end}", method=method)
            errors = problem(answer, 422, "invalid_request")["errors"]
            said = "is after until: 2024-05-02T00:00:00Z is after 2024-05-01T23:59:59Z"
            assert errors == {"since": [said]}, rule
            assert client.open(f"{rule}?since={begin}&until={begin}").status_code == 200, rule
            seen.add(str(rule).removeprefix("/api/v1"))
    assert seen == {"/predictions/recent", "/signals", "/monitoring/history"}


def test_model_names_a_line_on_every_route_under_both_prefixes(make_app: MakeApp) -> None:
    """One that nobody made is 404 `model_not_found`."""
    client = make_app(PUBLIC_ACTIVATION="true").test_client()
    arguments = {"version": "v2", "prediction_id": "p9", "hook_id": "hook_1"}
    values = {"symbol": "AAPL", "a": "v1", "b": "v2"}
    seen = set()
    for method, rule in _rules(client.application):
        path = str(rule)
        for name, text in arguments.items():
            path = path.replace(f"<version:{name}>", text).replace(f"<{name}>", text)
        contract = contract_of(client.application.view_functions[rule.endpoint])
        assert contract is not None
        assert contract.query is not None, path
        required = {name for name, field in contract.query.fields.items() if field.required}
        query = {"model": "nobody", **{name: values[name] for name in required}}
        answer = client.open(path, method=method, query_string=query, headers=KEY)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "model_not_found"), path
        seen.add(path.removeprefix("/api/v1"))
    assert len(seen) > 30
