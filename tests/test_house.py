"""The guards: what keeps the house in its shape, whoever builds on it."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from mlengine.app import PREFIXES, create_app
from mlengine.config import Settings
from mlengine.jobs.allowed import ALLOWED_TASKS
from mlengine.stores.queue.jobs import QUEUE_NAME, TRAIN_TASK
from mlengine.web.http import auth

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

PUBLIC_ROUTES = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/features"),
    ("GET", "/predict"),
    ("POST", "/predict/batch"),
    ("GET", "/predictions/recent"),
    ("GET", "/predictions/<prediction_id>"),
    ("GET", "/models"),
    ("GET", "/models/compare"),
    ("GET", "/models/<version:version>"),
    ("GET", "/model/<version:version>"),
    ("GET", "/monitoring/drift"),
    ("GET", "/monitoring/history"),
    ("GET", "/monitoring/freshness"),
    ("GET", "/monitoring/latency"),
}
ACTIVATION_ROUTES = {("POST", "/models/activate/<version:version>")}
ADMIN_ROUTES = {
    ("POST", "/admin/train"),
    ("GET", "/admin/train/status"),
    ("GET", "/admin/train/runs"),
    ("POST", "/admin/train/cancel"),
    ("POST", "/admin/models/<version:version>/reproduce"),
    ("POST", "/admin/activate/<version:version>"),
    ("POST", "/admin/rollback"),
    ("POST", "/admin/reload"),
    ("DELETE", "/admin/audit/clear"),
    ("POST", "/predictions/<prediction_id>/replay"),
}


@pytest.fixture
def app(make_settings: Callable[..., Settings]) -> Flask:
    return create_app(make_settings())


def test_importing_the_package_opens_no_socket_and_loads_nothing_heavy() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.__init__ = refuse\n"
        "import mlengine, mlengine.config, mlengine.errors\n"
        "heavy = {'polars', 'lightgbm', 'pandas', 'flask', 'rq'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["mlengine.jobs.worker", "mlengine.supervisor"])
def test_processes_that_start_others_load_neither_polars_nor_lightgbm(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "heavy = {'polars', 'lightgbm', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_serving_never_loads_pandas() -> None:
    script = "import sys, mlengine.app; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_route_has_decided_its_guard_on_both_prefixes(app: Flask) -> None:
    for prefix in PREFIXES.values():
        decided = {"public": PUBLIC_ROUTES, "admin": ADMIN_ROUTES}
        decided["public_activation"] = ACTIVATION_ROUTES
        found = _routes(app, prefix)
        for guard, expected in decided.items():
            assert {route for route, kind in found.items() if kind == guard} == expected, prefix
        assert set(found.values()) == set(decided), "a route without a decision"


def test_no_route_that_changes_something_is_public(app: Flask) -> None:
    unsafe = {route for route in PUBLIC_ROUTES if route[0] not in ("GET", "HEAD")}
    assert unsafe == {("POST", "/predict/batch")}, "it only reads, with a body"


def test_the_queue_and_its_task_are_named_once() -> None:
    module, _, function = TRAIN_TASK.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))
    assert frozenset({TRAIN_TASK}) == ALLOWED_TASKS
    assert QUEUE_NAME == "train"


def test_nothing_unpickles_or_evaluates() -> None:
    forbidden = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "yaml"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = _imported(node)
            assert not names & forbidden, f"{path}: imports {names & forbidden}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), path


def test_only_config_reads_the_environment() -> None:
    for path in SOURCES:
        if path.parent.name == "config":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
                owner = node.value
                assert not (isinstance(owner, ast.Name) and owner.id == "os"), path


def test_core_reads_no_clock_and_no_files() -> None:
    io = re.compile(r"\.(now|today|utcnow)\(|\bpl\.(read|scan)_|\.(write|sink)_|\bopen\(|random\.")
    for path in (ROOT / "src/mlengine/core").rglob("*.py"):
        assert not io.search(path.read_text()), path


def test_no_broad_except_but_at_the_outermost_doors() -> None:
    broad = [
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") == "Exception")
    ]
    assert len(broad) <= 2, broad


def test_files_and_functions_stay_small() -> None:
    for path in SOURCES:
        text = path.read_text()
        assert text.count("\n") <= 250, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert lines <= 50, f"{path}: {node.name} has {lines} lines"


def test_no_room_for_odds_and_ends() -> None:
    names = {path.stem for path in SOURCES}
    assert not names & {"utils", "helpers", "common", "manager", "misc"}


def test_the_layers_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout


def test_links_in_the_documents_resolve() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_image_starts_the_same_supervisor_and_installs_what_lightgbm_needs() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "ARG BASE_IMAGE=python:3.12-slim" in dockerfile
    assert "libgomp1" in dockerfile
    assert re.search(r"^USER \d+", dockerfile, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n?.*health", dockerfile, re.MULTILINE)
    assert 'CMD ["up"]' in dockerfile
    assert "WORKDIR /app" in dockerfile


def _routes(app: Flask, prefix: str) -> dict[tuple[str, str], str | None]:
    other = [each for each in PREFIXES.values() if each and each != prefix]
    return {
        (method, rule.rule.removeprefix(prefix)): auth.guard_of(app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(prefix) and not any(rule.rule.startswith(each) for each in other)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return set()
