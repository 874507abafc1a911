from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

LogLines = Callable[[], list[dict[str, object]]]


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 128])
def test_a_sane_request_id_is_echoed(client: FlaskClient, given: str) -> None:
    for path in ("/health", "/nope", "/predict?symbol=AAPL"):
        assert client.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "ä", "a\x00", "１", "a;b", "../x"])
def test_any_other_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    raw = given.encode().decode("latin-1")
    answer = client.get("/health", environ_overrides={"HTTP_X_REQUEST_ID": raw})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_the_request_id_is_in_body_header_and_log(client: FlaskClient, log_lines: LogLines) -> None:
    answer = client.get("/predict?symbol=AAPL", headers={"X-Request-ID": "abc"})
    assert answer.get_json()["request_id"] == "abc"
    (line,) = log_lines()
    assert line["request_id"] == "abc"
    assert line["model_version"] == "v2"


def test_one_line_a_request_with_the_path_template(
    client: FlaskClient, log_lines: LogLines
) -> None:
    client.get("/api/v1/models/v2?model=main")
    (line,) = log_lines()
    assert (line["event"], line["method"], line["path"], line["status"]) == (
        "request",
        "GET",
        "/api/v1/models/<version:version>",
        200,
    )
    assert isinstance(line["ms"], float)
    assert line["code"] is None


def test_a_key_never_reaches_the_log(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get(
        "/models?api_key=a-test-key-of-thirty-two-letters",
        headers={"X-API-Key": "a-test-key-of-thirty-two-letters"},
    )
    client.post(
        "/admin/rollback?key=a-test-key-of-thirty-two-letters",
        headers={"X-API-Key": "a-test-key-of-thirty-two-letters"},
    )
    client.post("/admin/rollback", headers={"X-API-Key": "wrong-key"})
    logged = capsys.readouterr().err
    assert "a-test-key-of-thirty-two-letters" not in logged
    assert "wrong-key" not in logged


def test_an_unknown_path_is_logged_short_and_escaped(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/" + "x" * 4000)
    client.get("/a%0A%7B%22event%22:%22forged%22%7D%E2%80%A8%C2%85b")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert len(lines[0]) < 500


def test_the_model_version_of_one_request_is_not_on_the_next(
    client: FlaskClient, log_lines: LogLines
) -> None:
    client.get("/predict?symbol=AAPL")
    client.get("/models")
    _, second = log_lines()
    assert "model_version" not in second


def test_a_line_has_the_address_and_probes_are_quiet(
    client: FlaskClient, log_lines: LogLines
) -> None:
    for path in ("/health", "/ready", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
        client.get(path)
        client.get(f"/api/v1{path}")
    client.get("/models", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    (line,) = log_lines()
    assert (line["path"], line["address"]) == ("/models", "192.0.2.7")


def test_answers_are_not_cached_or_sniffed(client: FlaskClient) -> None:
    answer = client.get("/predict?symbol=AAPL")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
