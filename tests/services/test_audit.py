from __future__ import annotations

from pathlib import Path

from tests.platforms import NOW, make_engine


def test_clearing_touches_predictions_only_and_says_who_did_it(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    engine.predict.batch(["AAA", "NONE"], as_of=None, version=None, request_id="r", now=NOW)

    assert engine.audit.clear(actor="ann", now=NOW) == 2

    assert engine.audit.recent(limit=10).rows == ()
    cleared, activated = engine.monitoring.history(kind=None, limit=10, cursor=None).rows
    assert activated.kind == "activated"
    assert (cleared.kind, cleared.actor, cleared.details) == (
        "audit_cleared",
        "ann",
        {"predictions": 2},
    )
