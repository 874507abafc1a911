"""The page of the document: whole, from this server alone, as gzip or not."""

from __future__ import annotations

import gzip
import re

import pytest
from flask.testing import FlaskClient

from mlengine.web.openapi.page_files import MEDIA_TYPES

PREFIXES = ["", "/api/v1"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_whatever_the_page_loads_is_there_beside_it(client: FlaskClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert {*named} == {"data:,"} | {f"docs/{name}" for name in MEDIA_TYPES}
    for name, kind in MEDIA_TYPES.items():
        file = client.get(f"{prefix}/docs/{name}")
        assert (file.status_code, file.mimetype) == (200, kind)
        assert "sourceMappingURL" not in file.text


def test_the_policy_lets_nothing_foreign_and_nothing_inline_in(client: FlaskClient) -> None:
    answer = client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<style" not in answer.text
    assert not re.search(r"<script>|\son\w+=", answer.text)


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_a_file_is_the_same_with_and_without_gzip(client: FlaskClient, name: str) -> None:
    packed = client.get(f"/docs/{name}", headers={"Accept-Encoding": "br, gzip"})
    plain = client.get(f"/docs/{name}", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    again = client.get(f"/docs/{name}", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["LICENSE", "index.html", "..%2fpage_files.py", "nothing"])
def test_no_other_file_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404
