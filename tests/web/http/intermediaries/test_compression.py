from __future__ import annotations

import gzip

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.web.conftest import MakeApp

GZIP = {"Accept-Encoding": "gzip"}
LARGE = ["/openapi.json", "/models/v2", "/api/v1/models/v2"]
SMALL = ["/health", "/ready", "/nope", "/"]


@pytest.mark.parametrize("path", LARGE)
def test_a_large_answer_is_smaller_and_the_same(client: FlaskClient, path: str) -> None:
    plain, packed = client.get(path), client.get(path, headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data)
    assert packed.mimetype == plain.mimetype
    assert "Accept-Encoding" in plain.vary
    assert "Accept-Encoding" in packed.vary


@pytest.mark.parametrize("path", SMALL)
def test_a_small_answer_stays_as_it_is(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers=GZIP)
    assert "Content-Encoding" not in answer.headers
    assert "Accept-Encoding" not in answer.vary


@pytest.mark.parametrize("more", ["", "&explain=true"])
def test_a_single_prediction_is_never_compressed(
    client: FlaskClient, make_app: MakeApp, more: str
) -> None:
    for prefix in ("", "/api/v1"):
        answer = client.get(f"{prefix}/predict?symbol=AAPL{more}", headers=GZIP)
        assert "Content-Encoding" not in answer.headers
        assert "Vary" not in answer.headers
    batch = client.post("/predict/batch", json={"symbols": ["AAPL"] * 9}, headers=GZIP)
    assert batch.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("accepted", "is_gzip"),
    [
        ("gzip", True),
        ("GZip", True),
        ("br, gzip, deflate", True),
        ("gzip;q=0.1", True),
        ("*", True),
        ("*;q=0.5", True),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
        ("identity;q=0, *", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("x, ;;q=,gzip;q=nonsense", False),
    ],
)
def test_the_client_says_what_it_takes(client: FlaskClient, accepted: str, is_gzip: bool) -> None:
    answer = client.get("/models/v2", headers={"Accept-Encoding": accepted})
    assert ("Content-Encoding" in answer.headers) == is_gzip


@pytest.mark.parametrize("path", ["/openapi.json", "/api/v1/openapi.json"])
def test_each_form_has_its_own_strong_tag_and_both_are_recognised(
    client: FlaskClient, path: str
) -> None:
    plain, packed = client.get(path), client.get(path, headers=GZIP)
    tags = {answer.headers["ETag"] for answer in (plain, packed)}
    assert len(tags) == 2
    assert not any(tag.startswith("W/") for tag in tags)
    for answer, accepted in ((plain, {}), (packed, GZIP)):
        known = {**accepted, "If-None-Match": answer.headers["ETag"]}
        for again in (client.get(path, headers=known), client.head(path, headers=known)):
            assert (again.status_code, again.data) == (304, b"")
            assert again.headers["ETag"] == answer.headers["ETag"]
            assert "Accept-Encoding" in again.vary
            assert "Content-Encoding" not in again.headers
    crossed = {**GZIP, "If-None-Match": plain.headers["ETag"]}
    assert client.get(path, headers=crossed).status_code == 200


def test_head_says_what_get_says(client: FlaskClient) -> None:
    for path in (*LARGE, *SMALL):
        get, head = (client.open(path, method=each, headers=GZIP) for each in ("GET", "HEAD"))
        names = ("Content-Length", "Content-Encoding", "ETag", "Vary", "Content-Type")
        assert [get.headers.get(name) for name in names] == [
            head.headers.get(name) for name in names
        ]


def test_an_answer_that_is_written_bit_by_bit_is_left_alone(make_app: MakeApp) -> None:
    app: Flask = make_app()

    def parts() -> object:
        return app.response_class((b"x" * 1000 for _ in range(9)), mimetype="text/csv")

    app.add_url_rule("/parts", view_func=parts)
    assert "Content-Encoding" not in app.test_client().get("/parts", headers=GZIP).headers
