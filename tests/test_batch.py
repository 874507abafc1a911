"""A batch over HTTP on a whole platform, against the same questions one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.factories import random_bars
from tests.platforms import make_platform, settings

from mlengine.app import create_app

GOOD = [f"S{number:02}" for number in range(63)]
BAD = {
    "unknown_symbol": [f"NOPE{number}" for number in range(15)],
    "insufficient_bars": [f"NEW{number}" for number in range(12)],
    "invalid_request": ["", "a,b", "-é", "x" * 65, "\n", None, 7, ["S00"], {}, True],
}
AS_OF = "2021-01-20"


def test_a_batch_of_100_with_37_bad_symbols_is_as_100_single_questions(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    for symbol in GOOD:
        random_bars(symbol, rows=400).write_parquet(tmp_path / "bars" / f"{symbol}.parquet")
    for symbol in BAD["insufficient_bars"]:
        random_bars(symbol, rows=20).write_parquet(tmp_path / "bars" / f"{symbol}.parquet")
    client = create_app(settings(tmp_path), platform=platform).test_client()
    expected = {str(each): code for code, symbols in BAD.items() for each in symbols}
    every = [*GOOD, *(each for symbols in BAD.values() for each in symbols)]
    symbols = [every[i] for i in np.random.default_rng(7).permutation(100)]

    body = client.post("/predict/batch", json={"symbols": symbols, "as_of": AS_OF}).get_json()

    assert body["summary"] == {"requested": 100, "succeeded": 63, "failed": 37}
    for symbol, item in zip(symbols, body["results"], strict=True):
        if str(symbol) in expected:
            assert item["symbol"] == (symbol if isinstance(symbol, str) else None)
            assert (item["status"], item["error"]["code"]) == ("error", expected[str(symbol)])
            continue
        single = client.get(f"/predict?symbol={symbol}&as_of={AS_OF}").get_json()
        own = {"status", "prediction_id", "request_id", "latency_ms"}
        assert {k: v for k, v in item.items() if k not in own} == {
            k: v for k, v in single.items() if k not in own
        }
        assert item["probability_up"].hex() == single["probability_up"].hex()
