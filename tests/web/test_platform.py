from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import get_type_hints

import pytest
from tests.web.platform import FakeControlPlane, FakePlatform

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.platform import Platform


def _pairs(fake: object, real: type) -> dict[type, type]:
    """Each part of `fake` with the service that stands in its place in `real`."""
    parts = {name: part for name, part in get_type_hints(real).items() if hasattr(fake, name)}
    return {type(getattr(fake, name)): part for name, part in parts.items()}


PAIRS = _pairs(FakePlatform(), Platform) | _pairs(FakeControlPlane(), ControlPlane)


def _methods(cls: type) -> dict[str, Callable[..., object]]:
    methods = inspect.getmembers(cls, inspect.isfunction)
    return {name: method for name, method in methods if not name.startswith("_")}


@pytest.mark.parametrize(
    ("fake", "real"),
    [
        pytest.param(fake, real, id=fake.__name__)
        for fake, real in PAIRS.items()
        if fake not in (real, FakeControlPlane, FunctionType)
    ],
)
def test_a_fake_takes_what_its_service_takes(fake: type, real: type) -> None:
    methods = _methods(fake)
    assert methods
    for name, method in methods.items():
        expected = inspect.signature(_methods(real)[name], eval_str=True)
        assert inspect.signature(method, eval_str=True).parameters == expected.parameters, name


def test_every_part_of_the_fake_platform_has_a_service() -> None:
    assert {fake.__name__ for fake in PAIRS} >= {
        "FakeAuditService",
        "FakeDriftService",
        "FakeEventStore",
        "FakeFeatureService",
        "FakeHealthService",
        "FakeHookService",
        "FakeModelService",
        "FakeMonitoringService",
        "FakeOutbox",
        "FakePerformanceService",
        "FakePredictService",
        "FakeReplayService",
        "FakeRunService",
    }
