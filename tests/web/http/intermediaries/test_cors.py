from __future__ import annotations

import re

import pytest
from tests.web.conftest import KEY, MakeApp

from mlengine.errors import BadSetting
from mlengine.web.http.intermediaries.cors import EXPOSED

DESK = "https://desk.example.com"
ASKED = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"}
PATHS = ("/models", "/predict?symbol=AAPL", "/nope", "/predict", "/admin/train/status", "/health")


def cors_headers(headers: object) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()  # type: ignore[attr-defined]
        if name.startswith("Access-Control") or name == "Vary"
    }


def test_nothing_is_said_of_origins_by_default(make_app: MakeApp) -> None:
    client = make_app(RATE_LIMIT_REQUESTS="99").test_client()
    for path in PATHS:
        assert "Access-Control" not in str(client.get(path, headers={"Origin": DESK}).headers)
    preflight = client.options("/models", headers={"Origin": DESK, **ASKED})
    assert "Access-Control" not in str(preflight.headers)
    assert "X-RateLimit-Remaining" in preflight.headers


def test_only_pages_of_these_origins_may_read(make_app: MakeApp) -> None:
    client = make_app(CORS_ORIGINS=f"{DESK},http://127.0.0.1:3000").test_client()
    for path in PATHS:
        for origin in (DESK, "http://127.0.0.1:3000"):
            answer = client.get(path, headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "Origin" in answer.vary
            assert "Access-Control-Allow-Credentials" not in answer.headers
        for other in (
            "https://evil.example",
            f"{DESK}.evil.example",
            f"{DESK}:444",
            "http://desk.example.com",
            DESK.upper(),
            "null",
            f"{DESK},{DESK}",
            "",
        ):
            answer = client.get(path, headers={"Origin": other})
            assert "Access-Control" not in str(answer.headers)
            assert "Origin" in answer.vary, "lest a cache gives it to a page that may read"
        assert "Origin" in client.get(path).vary


def test_a_star_is_the_same_for_whoever_asks(make_app: MakeApp) -> None:
    client = make_app(CORS_ORIGINS="*").test_client()
    for headers in ({}, {"Origin": DESK}, {"Origin": "null"}):
        answer = client.get("/models", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Origin" not in answer.vary


def test_a_page_reads_every_header_that_it_needs(make_app: MakeApp) -> None:
    client = make_app(CORS_ORIGINS=DESK, RATE_LIMIT_REQUESTS="99").test_client()
    answer = client.get("/models", headers={"Origin": DESK})
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert tuple(exposed) == EXPOSED
    own = {name for name, _ in answer.headers if re.match("X-R|RateLimit", name)}
    assert len(own) == 6
    assert own <= {*exposed}


@pytest.mark.parametrize("path", ["/models", "/predict/batch", "/admin/train", "/nope"])
def test_a_preflight_needs_no_key_and_uses_up_no_limit(make_app: MakeApp, path: str) -> None:
    client = make_app(CORS_ORIGINS=DESK, RATE_LIMIT_REQUESTS="2", **ADMIN).test_client()
    for _ in range(5):
        answer = client.options(path, headers={"Origin": DESK, **ASKED})
        assert (answer.status_code, answer.data) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == DESK
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, DELETE"
        assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Access-Control-Max-Age"] == "600"
        assert "Origin" in answer.vary
    assert client.get("/models").headers["X-RateLimit-Remaining"] == "1"


ADMIN = {"ADMIN_API_KEY": KEY["X-API-Key"]}


def test_a_preflight_of_another_page_counts_like_any_question(make_app: MakeApp) -> None:
    client = make_app(CORS_ORIGINS=DESK, RATE_LIMIT_REQUESTS="2").test_client()
    statuses = [
        client.options("/models", headers={"Origin": "https://evil.example", **ASKED}).status_code
        for _ in range(3)
    ]
    assert statuses == [204, 204, 429]
    assert "Access-Control" not in str(client.options("/models", headers=ASKED).headers)


def test_who_is_over_the_limit_is_told_so_by_the_page_too(make_app: MakeApp) -> None:
    client = make_app(CORS_ORIGINS=DESK, RATE_LIMIT_REQUESTS="1").test_client()
    client.get("/models")
    answer = client.get("/models", headers={"Origin": DESK})
    assert answer.status_code == 429
    assert answer.headers["Access-Control-Allow-Origin"] == DESK


@pytest.mark.parametrize(
    "origins",
    [
        "desk.example.com",
        "https://desk.example.com/",
        "https://Desk.example.com",
        "https://*.example.com",
        "https://desk.example.com:99999",
        "null",
        "*,https://desk.example.com",
        "ftp://desk.example.com",
        "https://a b",
    ],
)
def test_what_no_browser_sends_as_an_origin_stops_the_start(
    make_app: MakeApp, origins: str
) -> None:
    with pytest.raises(BadSetting, match=r"^CORS_ORIGINS="):
        make_app(CORS_ORIGINS=origins)
