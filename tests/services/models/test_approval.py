from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.platforms import make_platform

from mlengine.errors import ApprovalNeeded, ModelNotFound
from mlengine.services.models.service import Activation, ModelService, PendingActivation

NOW = datetime(2021, 3, 2, tzinfo=UTC)


@pytest.fixture
def models(tmp_path: Path) -> ModelService:
    return make_platform(tmp_path, models=3, ACTIVATION_APPROVALS="true").models


def ask(models: ModelService, version: str, actor: str) -> Activation | PendingActivation:
    return models.request_activation(version, actor=actor, reason="better", now=NOW)


def test_one_asks_and_another_confirms(models: ModelService) -> None:
    assert ask(models, "v2", "ann") == PendingActivation("v2", "pending", "ann", "better")
    assert models.active_version() == "v1"
    with pytest.raises(ApprovalNeeded, match="ann has asked"):
        ask(models, "v2", "ann")
    done = ask(models, "v2", "bob")
    assert isinstance(done, Activation)
    assert (done.active_version, done.actor, models.active_version()) == ("v2", "bob", "v2")
    events = models.events.page(None, 10, None).rows[:2]
    assert [(event.kind, event.actor) for event in events] == [
        ("activated", "bob"),
        ("activation_requested", "ann"),
    ]
    assert events[0].details["reason"] == "better (asked by ann)"


def test_a_request_is_of_one_version_and_lapses_with_the_next_activation(
    models: ModelService,
) -> None:
    ask(models, "v2", "ann")
    assert isinstance(ask(models, "v3", "bob"), PendingActivation), "another version"
    assert isinstance(ask(models, "v3", "ann"), Activation)
    assert isinstance(ask(models, "v2", "bob"), PendingActivation), "what ann asked has lapsed"
    assert models.active_version() == "v3"


def test_two_who_ask_at_once_can_confirm_each_other(models: ModelService) -> None:
    details = {"reason": "better", "after_generation": 1}
    for actor in ("ann", "bob"):
        models.events.append(
            "activation_requested", at=NOW, version="v2", actor=actor, details=details
        )
    assert isinstance(ask(models, "v2", "ann"), Activation)


def test_nothing_is_asked_for_that_could_not_serve(models: ModelService) -> None:
    with pytest.raises(ModelNotFound):
        ask(models, "v9", "ann")
    assert models.events.page("activation_requested", 10, None).rows == ()


def test_a_rollback_needs_nobody_else(models: ModelService) -> None:
    ask(models, "v2", "ann")
    ask(models, "v2", "bob")
    assert models.rollback(actor="ann", now=NOW).active_version == "v1"


def test_the_request_outlives_the_process_that_took_it(
    models: ModelService, tmp_path: Path
) -> None:
    ask(models, "v2", "ann")
    other = make_platform(tmp_path, ACTIVATION_APPROVALS="true").models
    assert isinstance(ask(other, "v2", "bob"), Activation)


def test_without_approvals_one_is_enough(tmp_path: Path) -> None:
    models = make_platform(tmp_path, models=2).models
    assert isinstance(ask(models, "v2", "ann"), Activation)
