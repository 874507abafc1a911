from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlengine.bootstrap import check_feature_sets
from mlengine.config import Settings
from mlengine.core.features import BUILTIN
from mlengine.errors import BadSetting
from mlengine.services.feature_sets import collect

OWN = """
from dataclasses import replace
from mlengine.core.features import CORE
FEATURE_SETS = [replace(CORE, name="own"), replace(CORE, version=99)]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_own_sets_stand_beside_the_built_in_ones_and_hide_none(
    write: Callable[[str, str], str],
) -> None:
    found = collect([write("own_sets", OWN)], wanted="own")
    assert set(found) == {*BUILTIN, "own"}
    assert found["core"] == BUILTIN["core"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FEATURE_SETS = (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nowhere", "ModuleNotFoundError"),
        ("", "AttributeError"),
        ("FEATURE_SETS = 5", "TypeError"),
        ("FEATURE_SETS = ['core']", "of FeatureSet"),
    ],
)
def test_a_module_that_can_not_be_used_is_one_line(
    write: Callable[[str, str], str], text: str, reason: str
) -> None:
    name = write(f"broken_{reason.lower().replace(' ', '_')}", text)
    with pytest.raises(BadSetting, match=reason) as refused:
        collect([name], wanted="core")
    assert str(refused.value).startswith(f"FEATURE_SETS={name!r}: ")
    assert "\n" not in str(refused.value)


def test_a_set_that_nobody_has_is_refused_before_anything_starts() -> None:
    check_feature_sets(Settings.from_env({}))
    with pytest.raises(BadSetting, match="TRAIN_FEATURE_SET='nobodys': expected one of core"):
        check_feature_sets(Settings.from_env({"TRAIN_FEATURE_SET": "nobodys"}))
