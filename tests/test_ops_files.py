"""Dashboard and alerts speak of metrics that there are, and of paragraphs that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlengine.core.telemetry.families import FAMILIES, PREFIX

ROOT = Path(__file__).parents[1]
ALERTS, DASHBOARD = ROOT / "ops/alerts.yml", ROOT / "ops/grafana.json"
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def sample_names() -> dict[str, set[str]]:
    """Every sample's name that there can be, with its labels."""
    names: dict[str, set[str]] = {}
    for family in FAMILIES:
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        for suffix in suffixes:
            le = {"le"} if suffix == "_bucket" else set()
            names[family.full_name + suffix] = {*family.labels, *le, "instance", "job"}
    return names


def test_every_metric_of_dashboard_and_alerts_exists_with_its_labels() -> None:
    known = sample_names()
    asked = list(expressions())
    assert len(asked) > 30
    for expression in asked:
        found = re.findall(rf"({PREFIX}[a-z0-9_]+)(?:{{([^}}]*)}})?", expression)
        for name, labels in found:
            assert name in known, expression
            assert set(re.findall(r"(\w+)=", labels)) <= known[name], expression
        grouped = {
            each
            for names in re.findall(r"by \(([^)]*)\)", expression)
            for each in names.split(", ")
        }
        assert grouped <= set().union(*(known[name] for name, _ in found)), expression


def test_every_metric_but_the_machine_s_own_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    assert [family.full_name for family in FAMILIES if family.full_name not in shown] == []
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))


def test_every_alert_leads_to_its_paragraph() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 10
    for rule in rules():
        assert f"\n### {rule['alert']}\n" in OPERATIONS
        assert rule["annotations"]["page"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "warn")


def test_the_page_has_every_metric_as_it_is() -> None:
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        row = f"| `{family.full_name}` | {family.kind} | {labels} | {family.help} |"
        assert row in OPERATIONS


def test_promtool_finds_no_fault() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
