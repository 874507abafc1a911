"""Units, manifests and the proxy's file speak of settings, commands and routes that there are."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from mlengine.__main__ import mlengine

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTINGS = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def documents() -> list[dict[str, Any]]:
    found = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
    assert len(found) >= 7
    return found


def pods() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each controller's spec with its pod's template."""
    specs = [each["spec"] for each in documents() if "template" in each.get("spec", {})]
    assert len(specs) == 3
    return [(spec, spec["template"]) for spec in specs]


def routes(app: Flask) -> set[str]:
    return {str(rule) for rule in app.url_map.iter_rules()}


def test_every_variable_is_a_setting_or_the_stores_own() -> None:
    names = [
        name
        for each in documents()
        if each["kind"] in ("ConfigMap", "Secret")
        for name in each.get("data", each.get("stringData"))
    ]
    assert len(names) > 8
    assert {name for name in names if not name.startswith("AWS_")} <= SETTINGS


def test_every_container_runs_a_command_and_may_write_nothing_but_its_folders() -> None:
    for _, template in pods():
        (container,) = template["spec"]["containers"]
        assert container["args"][0] in mlengine.commands
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert template["spec"]["securityContext"]["runAsUser"] == 10001
        mounts = {each["mountPath"] for each in container["volumeMounts"]}
        assert mounts == {"/app/artifacts", "/tmp"}
        kept = {
            claim["metadata"]["name"]
            for spec, _ in pods()
            for claim in spec.get("volumeClaimTemplates", [])
        }
        volumes = {each["name"] for each in template["spec"]["volumes"]} | kept
        assert {each["name"] for each in container["volumeMounts"]} <= volumes


def test_probes_ask_routes_and_selectors_find_pods(make_app: Callable[..., Flask]) -> None:
    known = routes(make_app())
    labels = [template["metadata"]["labels"] for _, template in pods()]
    for spec, template in pods():
        (container,) = template["spec"]["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["path"] in known
        if "selector" in spec:
            assert spec["selector"]["matchLabels"] == template["metadata"]["labels"]
    for each in documents():
        if each["kind"] == "Service":
            assert each["spec"]["selector"] in labels
        if each["kind"] == "PodDisruptionBudget":
            assert each["spec"]["selector"]["matchLabels"] in labels


def test_the_proxy_treats_events_and_metrics_apart(make_app: Callable[..., Flask]) -> None:
    text = (DEPLOY / "nginx/mlengine.conf").read_text()
    known = routes(make_app())
    patterns = re.findall(r"location ~ (\S+) {", text)
    assert len(patterns) == 2
    for pattern in patterns:
        assert {route for route in known if re.match(pattern, route)}, pattern
    assert text.count("{") == text.count("}")


def compose_services(profile: str | None) -> dict[str, dict[str, Any]]:
    """What `docker compose up` starts, or the parts of a profile."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    wanted = [profile] if profile else None
    return {name: each for name, each in services.items() if each.get("profiles") == wanted}


def needed(services: dict[str, dict[str, Any]], *names: str) -> set[str]:
    """Those and all that they depend on."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += services[name].get("depends_on", {}).keys() - found
    return found


def test_compose_alone_starts_one_host_and_the_profile_two_with_three_workers() -> None:
    alone, ha = compose_services(None), compose_services("ha")
    assert set(alone) == {"valkey", "migrate", "web", "worker"}
    assert needed(alone | ha, "proxy", "worker-ha") == set(ha) | {"valkey"}
    assert ha["worker-ha"]["deploy"]["replicas"] == 3
    upstream = (DEPLOY / "nginx/mlengine.conf").read_text()
    webs = {name for name, each in ha.items() if each.get("command") == "web"}
    assert set(re.findall(r"server (\S+):8000", upstream)) == webs == {"web-1", "web-2"}
    folders = [ha[name]["volumes"] for name in sorted(webs)]
    assert folders == [["web-1:/app/artifacts"], ["web-2:/app/artifacts"]]


def test_every_host_of_the_profile_shares_queue_database_and_registry_by_settings() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    ha = compose_services("ha")
    hosts = {name: each for name, each in ha.items() if each["image"] == "ml-engine-platform"}
    assert {each["command"] for each in hosts.values()} == {"migrate", "web", "worker"}
    (shared,) = {yaml.dump(each["environment"]) for each in hosts.values()}
    names = set(yaml.safe_load(shared))
    assert {"REDIS_URL", "AUDIT_DATABASE_URL", "REGISTRY_URL"} <= names
    assert {name for name in names if not name.startswith("AWS_")} <= SETTINGS
    for each in hosts.values():
        assert each["command"] in mlengine.commands
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])
    mounts = [mount.split(":") for each in ha.values() for mount in each.get("volumes", [])]
    for source in {mount[0] for mount in mounts if len(mount) > 1}:
        assert source in compose["volumes"] or (ROOT / source).is_file()
    for each in ha.values():
        assert each.get("ports", ["127.0.0.1:"])[0].startswith("127.0.0.1:")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_every_unit_runs_a_command(path: Path, tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path)
    program, command = unit["Service"]["ExecStart"].split()
    assert program == "/opt/mlengine/bin/mlengine"
    assert command in mlengine.commands
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed, which would read the unit as systemd does")
    for each in UNITS:
        here = each.read_text().replace(program, "/bin/true").replace("EnvironmentFile", "#")
        (tmp_path / each.name).write_text(here)
    named = tmp_path / path.name.replace("@.", "@1.")
    if not named.exists():
        named.symlink_to(path.name)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(named)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "mlengine" in line]
    assert complaints == []
