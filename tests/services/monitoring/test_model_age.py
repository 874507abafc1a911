from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.databases import new_database, opened
from tests.published import draft

from mlengine.services.monitoring.model_age import ModelAgeStep
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.registry import Registry

DAY = timedelta(days=1)


def test_a_model_in_the_last_third_of_its_days_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tmp_path / "main")
    created = registry.publish(draft(), {}, fence=lambda: None).created_at
    with opened(new_database(tmp_path / "audit.db")) as engine:
        events = EventStore(engine)
        step = ModelAgeStep(registry, events, 30)
        assert step.run(created) is None, "nothing serves"
        registry.activate("v1", actor="t", reason="t", now=created)
        assert step.run(created + 19 * DAY) == created + 20 * DAY
        assert ModelAgeStep(registry, events, 0).run(created + 900 * DAY) is None
        for day in (20, 25):
            assert step.run(created + day * DAY) is None
        (event,) = events.page("model_ageing", 9, None).rows
        assert (event.version, event.details["max_days"]) == ("v1", 30)
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert record.getMessage() == "model is ageing"
