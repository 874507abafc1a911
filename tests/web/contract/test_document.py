"""The document is an OpenAPI document, says what the routes are, and is the one in docs/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from openapi_spec_validator import validate
from tests.web.conformance import document
from tests.web.conftest import MakeApp

from mlengine import __main__
from mlengine.app import PREFIXES, openapi_document
from mlengine.errors import MlengineError
from mlengine.web.http.auth import guard_of
from mlengine.web.http.contract import contract_of
from mlengine.web.http.errors import FRAMEWORK_PROBLEMS, STATUS
from mlengine.web.http.problems import BY_CODE
from mlengine.web.openapi.answer_schemas import AnswerSchemas
from mlengine.web.openapi.operations import path_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def test_it_is_valid() -> None:
    validate(document())


def test_the_command_writes_it(tmp_path: Path) -> None:
    target = tmp_path / "openapi.json"
    result = CliRunner().invoke(__main__.mlengine, ["openapi", "-o", str(target)])
    assert (result.exit_code, target.read_bytes()) == (0, openapi_document())


def test_it_has_every_route_with_its_methods(app: Flask) -> None:
    written = {
        (path, method.upper())
        for path, operations in document()["paths"].items()
        for method in operations
    }
    routes = {
        (path_of(rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    prefix = PREFIXES["v1_"]
    assert written == {route for route in routes if not route[0].startswith(prefix)}
    assert {(prefix + path, method) for path, method in written} <= routes


def test_every_view_has_a_contract_and_says_what_it_is_for(app: Flask) -> None:
    for endpoint, view in app.view_functions.items():
        assert contract_of(view), endpoint
        assert guard_of(view), endpoint
        assert view.__doc__, endpoint


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [each["operationId"] for path in document()["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))


def test_a_key_is_needed_where_the_guard_says_so() -> None:
    paths = document()["paths"]
    assert paths["/admin/train"]["post"]["security"] == [{"ApiKey": ["train"]}]
    assert paths["/admin/train/status"]["get"]["security"] == [
        {"ApiKey": ["train"]},
        {"ApiKey": ["read"]},
    ]
    assert paths["/predict"]["get"]["security"] == [{}, {"ApiKey": ["predict"]}]
    assert paths["/health"]["get"]["security"] == []


def test_nulls_enums_and_formats_are_those_of_the_types() -> None:
    prediction = document()["components"]["schemas"]["Prediction"]
    fields = prediction["properties"]
    assert fields["probability_up"] == {"type": ["number", "null"]}
    assert fields["objective"] == {"type": "string", "enum": ["direction", "return"]}
    assert fields["as_of"] == {"type": "string", "format": "date-time"}
    assert {"bars_hash", "feature_set"} <= {*prediction["required"]}
    assert "contributions" not in prediction["required"]


def test_parameters_have_their_bounds() -> None:
    parameters = {
        each["name"]: each["schema"]
        for each in document()["paths"]["/features"]["get"]["parameters"]
    }
    limit = {"type": "integer", "default": 100, "minimum": 1, "maximum": 5000}
    assert parameters["limit"] == limit
    assert parameters["symbol"] == {"type": "string", "minLength": 1, "maxLength": 64}
    assert parameters["feature_set"]["pattern"].startswith("^[A-Za-z0-9]")


def test_a_type_that_no_answer_has_is_refused() -> None:
    with pytest.raises(TypeError):
        AnswerSchemas().of(complex)


@pytest.mark.parametrize(("kind", "status"), [(kind, s) for kind, (s, _) in STATUS.items()])
def test_every_error_is_among_the_problems(kind: type[MlengineError], status: int) -> None:
    assert status in BY_CODE[kind.code].statuses


def test_what_the_framework_refuses_is_among_the_problems() -> None:
    for status, (code, _, _) in FRAMEWORK_PROBLEMS.items():
        assert status in BY_CODE[code].statuses


def test_the_route_answers_the_same_document_with_a_strong_tag(app: Flask) -> None:
    client = app.test_client()
    first = client.get("/openapi.json")
    assert first.get_json() == json.loads(openapi_document())
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.get_data()) == (304, b"")
