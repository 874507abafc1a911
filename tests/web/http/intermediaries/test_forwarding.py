"""A path prefix behind proxies: in links, `Location`, the document, for trusted hops only."""

from __future__ import annotations

import pytest
from tests.web.conftest import KEY, MakeApp

from mlengine.web.http.intermediaries.forwarding import forwarded_prefix


@pytest.mark.parametrize(
    ("stated", "hops", "prefix"),
    [
        ("/ml", 1, "/ml"),
        ("/ml/", 1, "/ml"),
        ("/forged, /ml", 1, "/ml"),
        ("/forged, /outer, /inner", 2, "/outer/inner"),
        ("/ml", 2, "/ml"),  # one of two proxies takes something off
        ("/, /ml", 2, "/ml"),
        ("/a-b_c.d~e/f", 1, "/a-b_c.d~e/f"),
        ("//elsewhere.example", 1, ""),
        ("/a//b", 1, ""),
        ("https://elsewhere.example", 1, ""),
        ("ml", 1, ""),
        ("/ml?x=", 1, ""),
        ("/m l", 1, ""),
        ("/\u00e9", 1, ""),
        ("/..%2f", 1, ""),
        ("", 1, ""),
        ("/" + "a" * 300, 1, ""),
    ],
)
def test_only_plain_paths_of_trusted_hops_count(stated: str, hops: int, prefix: str) -> None:
    assert forwarded_prefix(stated, hops) == prefix


@pytest.mark.parametrize("route", ["", "/api/v1"])
@pytest.mark.parametrize(("hops", "expected"), [("0", ""), ("1", "/ml")])
def test_links_have_the_prefix_of_a_trusted_proxy(
    make_app: MakeApp, hops: str, expected: str, route: str
) -> None:
    client = make_app(TRUSTED_PROXY_COUNT=hops, ADMIN_API_KEY=KEY["X-API-Key"]).test_client()
    forwarded = {"X-Forwarded-Prefix": "/ml"}
    home = client.get(f"{route}/", headers=forwarded).get_json()
    assert home["links"]["docs"] == f"{expected}{route}/docs"
    document = client.get(f"{route}/openapi.json", headers=forwarded)
    assert [server["url"] for server in document.get_json()["servers"]] == [
        expected or "/",
        f"{expected}/api/v1",
    ]
    accepted = client.post(f"{route}/admin/train", headers={**KEY, **forwarded})
    assert accepted.headers["Location"].startswith(f"{expected}{route}/admin/train/status?run_id=")
    page = client.get(f"{route}/docs", headers=forwarded).text
    assert 'src="docs/start.js"' in page, "it is beside the page, wherever that is"


def test_documents_of_other_prefixes_are_other_documents(make_app: MakeApp) -> None:
    client = make_app(TRUSTED_PROXY_COUNT="1").test_client()
    tags = {
        client.get("/openapi.json", headers={"X-Forwarded-Prefix": prefix}).headers["ETag"]
        for prefix in ("", "/a", "/b")
    }
    assert len(tags) == 3


def test_a_prefix_changes_no_route_and_no_log_line(make_app: MakeApp, log_lines: object) -> None:
    client = make_app(TRUSTED_PROXY_COUNT="1").test_client()
    assert client.get("/models", headers={"X-Forwarded-Prefix": "/ml"}).status_code == 200
    assert client.get("/ml/models", headers={"X-Forwarded-Prefix": "/ml"}).status_code == 404
    lines = log_lines()  # type: ignore[operator]
    assert next(line["path"] for line in lines if line["event"] == "request") == "/models"
