from __future__ import annotations

from pathlib import Path

from tests.platforms import make_platform, settings

from mlengine.app import create_app


def test_the_quality_of_a_symbols_bars(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), platform=make_platform(tmp_path))
    for prefix in ("", "/api/v1"):
        answer = app.test_client().get(f"{prefix}/bars/quality?symbol=AAA")
        assert answer.status_code == 200
        quality = answer.get_json()
        assert (quality["symbol"], quality["status"], quality["reasons"]) == ("AAA", "ok", [])
        assert quality["read"] == quality["accepted"] == 400
        assert (quality["hole_count"], quality["jumps"], quality["dropped"]) == (0, [], {})


def test_a_symbol_without_bars_has_no_quality(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), platform=make_platform(tmp_path))
    answer = app.test_client().get("/bars/quality?symbol=NONE")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "unknown_symbol")
    assert app.test_client().get("/bars/quality").status_code == 422
