"""docs/openapi.json, docs/api.md and docs/problems.md are what the script writes."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
from tests.pages.markdown import ROOT, anchors

from mlengine.web.http.errors import FRAMEWORK_PROBLEMS, STATUS


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "api_page.py"
    spec = importlib.util.spec_from_file_location("api_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_the_api_are_current(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(check=True) == 0, "python scripts/api_page.py"
    assert capsys.readouterr().out == ""


def test_every_problem_has_a_section_with_cause_and_cure() -> None:
    page = (ROOT / "docs" / "problems.md").read_text()
    codes = {kind.code for kind in STATUS} | {code for code, _, _ in FRAMEWORK_PROBLEMS.values()}
    assert codes | {"internal"} <= anchors(page)
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        assert "**Cause.** " in part
        assert "**Cure.** " in part


def test_every_example_stands_under_a_route_of_the_page(script: ModuleType) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    text = script.EXAMPLES.read_text()
    requests = re.findall(r"^```\n((?:GET|POST|DELETE) .*)", text, re.MULTILINE)
    assert len(requests) > 20
    for request in requests:
        assert page.count(f"```\n{request}\n") == text.count(f"```\n{request}\n"), request
