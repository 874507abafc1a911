from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from mlengine import __version__


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/"])
def test_the_root_says_where_to_go(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    body = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert body["version"] == __version__
    assert {*body["links"]} == {"docs", "openapi", "health", "ready", "models"}
    for link in body["links"].values():
        assert link.startswith(path.rstrip("/") + "/")
        assert client.get(link).status_code == 200
