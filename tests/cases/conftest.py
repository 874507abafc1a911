"""A world of its own for each case."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cases.world import World, walk, weekdays


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.csv("GOOD.csv", weekdays(400), walk(400, seed=99))
    return world
