from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform


def test_a_table_has_the_fields_of_the_contract(client: FlaskClient) -> None:
    for prefix in ("", "/api/v1"):
        answer = client.get(f"{prefix}/features?symbol=AAPL")
        body = answer.get_json()
        assert body.pop("as_of").endswith("Z")
        assert body == {
            "symbol": "AAPL",
            "interval": "1d",
            "feature_set": {
                "name": "core",
                "version": 1,
                "hash": "ab" * 32,
                "window_bars": 64,
            },
            "bars_hash": "cd" * 32,
            "degraded": False,
            "point_in_time": "recorded",
            "bars_age_seconds": None,
            "nulls": {"return_1": 1, "rsi_14": 1},
            "features": [
                {"timestamp": "2024-05-30T00:00:00Z", "return_1": 0.1, "rsi_14": None},
                {"timestamp": "2024-05-31T00:00:00Z", "return_1": None, "rsi_14": 1 / 3},
            ],
        }
        assert b"0.3333333333333333" in answer.data
        assert b"NaN" not in answer.data


def test_what_was_asked_reaches_the_service(client: FlaskClient, tiny: FakePlatform) -> None:
    client.get("/features?symbol=AAPL&limit=1&as_of=2024-05-30&feature_set=core")
    (call,) = tiny.features.calls
    assert call["limit"] == 1
    assert call["as_of"] == datetime(2024, 5, 31, tzinfo=UTC)
    assert call["session"] == date(2024, 5, 30)
    client.get("/features?symbol=AAPL")
    assert (tiny.features.calls[1]["limit"], tiny.features.calls[1]["as_of"]) == (100, None)


@pytest.mark.parametrize("limit", ["0", "5001", "-1", "1.0", "1e2", "", " 5", "٥", "1_0", "9" * 30])
def test_a_limit_out_of_bounds_or_in_odd_digits_is_422(client: FlaskClient, limit: str) -> None:
    answer = client.get("/features", query_string={"symbol": "AAPL", "limit": limit})
    assert set(problem(answer, 422, "invalid_request")["errors"]) == {"limit"}


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        " ",
        "AAPL\n",
        "AAPL ",
        "-X",
        "A\x00",
        "A,B",
        "A\u200bB",
        "A" * 65,
    ],
)
def test_a_symbol_that_is_none_is_422(client: FlaskClient, symbol: str) -> None:
    for path in ("/features", "/predict"):
        answer = client.get(path, query_string={"symbol": symbol})
        assert set(problem(answer, 422, "invalid_request")["errors"]) == {"symbol"}


@pytest.mark.parametrize(
    "symbol",
    [
        "A",
        "BRK.B",
        "BTC-USD",
        "a" * 32,
        "X:Y/Z^1=_",
        ".X",
        "A" * 33,
        "ÄPFEL",
        "ＡＡＰＬ",
        "A'--",
        "😀",
        "A%B",
        "^GSPC",
        "M&M.NS",
        "BRK B",
        "BTC/USDT:USDT",
        "../x",
    ],
)
def test_symbols_are_taken_as_given(client: FlaskClient, symbol: str) -> None:
    answer = client.get("/features", query_string={"symbol": symbol})
    assert answer.status_code in (200, 404)
    if answer.status_code == 404:
        assert symbol in str(problem(answer, 404, "unknown_symbol")["detail"])


def test_unknown_and_repeated_parameters_are_named(client: FlaskClient) -> None:
    answer = client.get("/features?symbol=AAPL&sybmol=MSFT&Limit=3")
    assert problem(answer, 422, "invalid_request")["errors"] == {
        "sybmol": ["Unknown field."],
        "Limit": ["Unknown field."],
    }
    answer = client.get("/features?symbol=AAPL&symbol=MSFT")
    assert problem(answer, 422, "invalid_request")["errors"] == {"symbol": ["given more than once"]}
    answer = client.get("/features")
    assert set(problem(answer, 422, "invalid_request")["errors"]) == {"symbol"}


def test_an_unknown_feature_set_is_422(client: FlaskClient) -> None:
    for name in ("alpha1", "../x", "x" * 65):
        answer = client.get("/features", query_string={"symbol": "AAPL", "feature_set": name})
        assert set(problem(answer, 422, "invalid_request")["errors"]) == {"feature_set"}


def test_history_that_is_closed_may_be_kept(client: FlaskClient) -> None:
    path = "/features?symbol=AAPL&as_of=2024-05-31"
    first = client.get(path)
    assert first.headers["Cache-Control"] == "public, max-age=86400, immutable"
    tag = first.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{64}"', tag)
    for header in (tag, f'"other", {tag}', f"W/{tag}"):
        again = client.get(path, headers={"If-None-Match": header})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, first.data)
    assert client.get(f"/api/v1{path}").headers["ETag"] == tag


def test_another_question_has_another_tag(client: FlaskClient) -> None:
    tags = {
        client.get(f"/features?symbol={symbol}&as_of={as_of}&limit={limit}").headers["ETag"]
        for symbol, as_of, limit in (
            ("AAPL", "2024-05-31", 1),
            ("AAPL", "2024-05-31", 2),
            ("AAPL", "2024-05-30", 1),
            ("MSFT", "2024-05-31", 1),
        )
    }
    assert len(tags) == 4


def test_the_last_interval_is_asked_for_again(client: FlaskClient) -> None:
    just_now = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    answer = client.get("/features", query_string={"symbol": "AAPL", "as_of": just_now})
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "ETag" in answer.headers


def test_live_answers_and_problems_are_never_kept(client: FlaskClient) -> None:
    for path in ("/features?symbol=AAPL", "/features?symbol=SHORT&as_of=2024-05-31"):
        answer = client.get(path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


def test_too_few_bars_is_422_with_the_first_possible_moment(client: FlaskClient) -> None:
    for path in ("/features?symbol=SHORT&as_of=2024-05-31", "/predict?symbol=SHORT"):
        body = problem(client.get(path), 422, "insufficient_bars")
        assert body["first_possible"] == "2024-05-31T00:00:00Z"
