from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.http.errors import (
    InvalidChunkSize,
    InvalidHeader,
    NoMoreData,
)
from tests.web.conftest import MakeApp
from tests.web.platform import FakePlatform
from werkzeug.exceptions import ServiceUnavailable, UnprocessableEntity
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from mlengine import errors
from mlengine.web.http.errors import STATUS

LogLines = Callable[[], list[dict[str, object]]]

NEVER_OVER_HTTP = {
    errors.BadSetting,
    errors.CannotStart,
    errors.CannotWrite,
    errors.KeyNameTaken,
    errors.KeyNotFound,
    errors.KeysDamaged,
    errors.ReasonError,
    errors.RefusedLineFiles,
    errors.LeaseLost,
    errors.TrainingFailed,
}


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:mlengine:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/predict/",
        "/api/v2/predict",
        "/admin",
        "/models/",
        "/metrics/",
    ],
)
def test_an_unknown_path_is_a_404_problem_and_never_a_redirect(
    client: FlaskClient, path: str
) -> None:
    problem(client.get(path), 404, "not_found")


def test_a_wrong_method_names_the_allowed_ones(client: FlaskClient) -> None:
    answer = client.post("/predict")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    problem(client.open("/predict", method="TRACE"), 405, "method_not_allowed")


def test_head_has_no_body(client: FlaskClient) -> None:
    head = client.head("/predict?symbol=AAPL")
    assert (head.status_code, head.data) == (200, b"")
    assert client.head("/nope").data == b""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/predict/batch", ["OPTIONS", "POST"]),
        ("/predict", ["GET", "HEAD", "OPTIONS"]),
        ("/admin/train", ["OPTIONS", "POST"]),
        ("/admin/audit/clear", ["DELETE", "OPTIONS"]),
        ("/models/activate/v2", ["OPTIONS", "POST"]),
    ],
)
def test_options_lists_the_methods_and_has_no_content(
    client: FlaskClient, path: str, allowed: list[str]
) -> None:
    for prefix in ("", "/api/v1"):
        answer = client.options(f"{prefix}{path}")
        assert (answer.status_code, answer.data) == (204, b"")
        assert sorted(answer.headers["Allow"].split(", ")) == allowed
        assert not {"Content-Type", "Content-Length"} & set(answer.headers.keys())
    problem(client.options("/nope"), 404, "not_found")


def test_unparsable_json_is_400(client: FlaskClient) -> None:
    for data in (b"{", b"[NaN]", b"\xff{}", b'{"a": "\\ud800"}', b"[" * 100_000):
        answer = client.post("/predict/batch", data=data, content_type="application/json")
        problem(answer, 400, "invalid_request")
    problem(client.post("/predict/batch"), 400, "invalid_request")


def test_another_content_type_is_415(client: FlaskClient) -> None:
    answer = client.post("/predict/batch", data="symbols=AAPL", content_type="text/plain")
    problem(answer, 415, "unsupported_media_type")


def test_json_of_a_vendor_type_and_a_charset_is_json(client: FlaskClient) -> None:
    for kind in ("application/json; charset=utf-8", "application/vnd.x+json"):
        answer = client.post("/predict/batch", data=b'{"symbols": ["AAPL"]}', content_type=kind)
        assert answer.status_code == 200


def test_a_body_that_is_no_object_is_422(client: FlaskClient) -> None:
    for data in ("[]", "3", '"x"', "null"):
        answer = client.post("/predict/batch", data=data, content_type="application/json")
        assert problem(answer, 422, "invalid_request")["errors"] == {
            "body": ["Invalid input type."]
        }


def test_a_large_body_is_413_on_every_route(client: FlaskClient) -> None:
    for path in ("/predict/batch", "/models/activate/v1", "/nope"):
        answer = client.post(path, data=b" " * (1024 * 1024 + 1), content_type="application/json")
        problem(answer, 413, "payload_too_large")


def test_a_body_of_one_mebibyte_is_read(client: FlaskClient) -> None:
    body = b'{"symbols": ["AAPL"]}'.ljust(1024 * 1024)
    answer = client.post("/predict/batch", data=body, content_type="application/json")
    assert answer.status_code == 200


def test_a_body_of_unsaid_length_has_the_same_bound(client: FlaskClient) -> None:
    for size, status in ((1024 * 1024, 200), (1024 * 1024 + 1, 413), (12 * 1024 * 1024, 413)):
        answer = client.post(
            "/predict/batch",
            input_stream=BytesIO(b'{"symbols": ["AAPL"]}'.ljust(size)),
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert answer.status_code == status


def test_a_crash_tells_the_client_nothing_and_the_log_everything_on_one_line(
    client: FlaskClient, log_lines: LogLines
) -> None:
    answer = client.get("/predict?symbol=CRASH", headers={"X-Request-ID": "abc"})
    assert "secret" not in str(problem(answer, 500, "internal"))
    crash, access = log_lines()
    assert (crash["event"], crash["level"], crash["request_id"]) == (
        "request failed",
        "ERROR",
        "abc",
    )
    assert "RuntimeError: a secret\nof the house" in str(crash["traceback"])
    assert (access["event"], access["status"], access["code"]) == ("request", 500, "internal")


def test_an_error_that_no_client_should_see_is_internal(client: FlaskClient) -> None:
    body = problem(client.get("/predict?symbol=ORPHAN"), 500, "internal")
    assert "r1" not in str(body["detail"])


def test_bad_input_leaves_its_one_line_in_the_log(client: FlaskClient, log_lines: LogLines) -> None:
    for path in ("/predict?symbol=NOPE", "/predict?symbol=%0d%0aevil", "/models/%0a%0dv1", "/%0a"):
        client.get(path)
        (line,) = log_lines()
        assert line["event"] == "request"


@pytest.mark.parametrize(
    ("symbol", "status", "code"),
    [
        ("NOPE", 404, "unknown_symbol"),
        ("SHORT", 422, "insufficient_bars"),
        ("BROKEN", 502, "upstream_invalid"),
        ("DOWN", 503, "upstream_unavailable"),
        ("UNAUDITED", 503, "audit_unavailable"),
    ],
)
def test_a_domain_error_has_its_status_and_its_facts(
    client: FlaskClient, symbol: str, status: int, code: str
) -> None:
    audited = ("/predict", "/api/v1/predict")
    unaudited = () if code == "audit_unavailable" else ("/features", "/api/v1/features")
    for path in (*audited, *unaudited):
        answer = client.get(f"{path}?symbol={symbol}")
        problem(answer, status, code)
        assert answer.headers.get("Retry-After") == ("7" if symbol == "DOWN" else None)


def test_every_domain_error_has_a_status_or_never_meets_a_client() -> None:
    def below(kind: type[errors.MlengineError]) -> Iterator[type[errors.MlengineError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    without = {
        kind
        for kind in below(errors.MlengineError)
        if kind.__module__.startswith(errors.__name__) and not set(kind.__mro__) & set(STATUS)
    }
    assert without == NEVER_OVER_HTTP


def test_other_refusals_of_the_framework_are_problems_too(make_app: MakeApp) -> None:
    app = make_app()

    def refuse(kind: type[Exception]) -> NoReturn:
        raise kind

    app.add_url_rule("/odd", "odd", lambda: refuse(UnprocessableEntity))
    app.add_url_rule("/away", "away", lambda: refuse(ServiceUnavailable))
    problem(app.test_client().get("/odd"), 422, "invalid_request")
    problem(app.test_client().get("/away"), 500, "internal")


def test_a_hostile_host_header_is_answered(client: FlaskClient) -> None:
    for host in ("a b", "..", "x" * 5000, "[::", "\xe9"):
        answer = client.get("/health", headers={"Host": host})
        assert answer.status_code < 500


class Broken(BytesIO):
    """A body that the server can't take apart."""

    def __init__(self, refusal: Exception) -> None:
        super().__init__(b"{}")
        self._refusal = refusal

    def read(self, _: int | None = -1, /) -> bytes:
        raise self._refusal

    def readinto(self, _: object, /) -> int:
        raise self._refusal


@pytest.mark.parametrize("refusal", [InvalidChunkSize(b"ZZ"), InvalidHeader("foo"), NoMoreData()])
def test_a_body_whose_chunks_are_malformed_is_400(client: FlaskClient, refusal: Exception) -> None:
    for method, path in (("POST", "/predict/batch"), ("GET", "/models"), ("POST", "/nope")):
        answer = client.open(
            path,
            method=method,
            input_stream=Broken(refusal),
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        problem(answer, 400, "invalid_request")


@pytest.mark.parametrize("sent", [b"", b"{}"])
def test_a_body_that_broke_off_is_400_and_starts_nothing(
    client: FlaskClient, tiny: FakePlatform, sent: bytes
) -> None:
    answer = client.post(
        "/admin/train",
        input_stream=BytesIO(sent),
        content_type="application/json",
        headers={"X-API-Key": "a-test-key-of-thirty-two-letters"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "50"},
    )
    problem(answer, 400, "invalid_request")
    assert not tiny.control.runs.live


@pytest.fixture
def port(make_app: MakeApp) -> Iterator[int]:
    """The app behind a real socket."""
    with serving(make_app()) as server:
        yield server


class serving:  # noqa: N801
    def __init__(self, app: Flask) -> None:
        self._server = make_server("127.0.0.1", 0, app)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> int:
        self._thread.start()
        return self._server.server_port

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.parametrize("mebibytes", [2, 7])
def test_whoever_sends_too_much_still_reads_the_refusal(port: int, mebibytes: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request(
        "POST",
        "/api/v1/predict/batch",
        body=b" " * (mebibytes * 1024 * 1024),
        headers={"Content-Type": "application/json"},
    )
    answer = line.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (413, "application/problem+json")
    line.close()
