"""The guards: what keeps the house in its shape, whoever builds on it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles

import pytest
from flask import Flask
from tests.web.rights import RIGHTS

from mlengine.app import PREFIXES, create_app
from mlengine.config import Settings
from mlengine.jobs.allow_listed_job import ALLOWED_TASKS
from mlengine.stores.queue.jobs import QUEUE_NAME
from mlengine.stores.queue.rq_jobs import FIT_FOLDS_TASK, TRAIN_TASK
from mlengine.web.http.auth import OPEN_BY_DEFAULT, PUBLIC, Guard, guard_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/mlengine"
SOURCES = sorted((ROOT / "src").rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Where an exception of any kind may be caught, and why.
BROAD_EXCEPTS = {
    "bootstrap/feature_sets.py:_load": "a user's module may raise anything",
    "services/predictions/service.py:_audited_answers": "audits, and raises it again",
    "services/training/run_executor.py:_recording_failure": "ends the run, and raises it again",
    "web/serving/client_connections.py:receive": "refuses the request",
    "web/serving/worker.py:_answer": "answers as an internal error",
    "web/serving/worker.py:_attempt": "leaves the request to the framework",
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


def test_serving_loads_neither_pandas_nor_what_is_slow_and_seldom_used(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("raise SystemExit('pandas was imported')\n")
    script = (
        "import sys, mlengine.app, lightgbm;"
        "sys.exit(not {'pandas', 'scipy.stats', 'apispec'}.isdisjoint(sys.modules))"
    )
    environ = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_route_has_decided_its_guard_on_both_prefixes(app: Flask) -> None:
    for prefix in PREFIXES.values():
        assert _guards(app, prefix) == RIGHTS, prefix


def test_no_route_that_changes_something_is_open() -> None:
    opened = {route for route, guard in RIGHTS.items() if guard.kind in (PUBLIC, OPEN_BY_DEFAULT)}
    unsafe = {route for route in opened if route[0] not in ("GET", "HEAD")}
    assert unsafe == {("POST", "/predict/batch")}, "it only reads, with a body"


def test_the_queue_and_its_tasks_are_named_once() -> None:
    for task in (TRAIN_TASK, FIT_FOLDS_TASK):
        module, _, function = task.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))
    assert frozenset({TRAIN_TASK, FIT_FOLDS_TASK}) == ALLOWED_TASKS
    assert QUEUE_NAME == "train"


def test_nothing_unpickles_or_evaluates() -> None:
    forbidden = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "yaml"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = _imported(node)
            assert not names & forbidden, f"{path}: imports {names & forbidden}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), path
            if isinstance(node, ast.Call):
                assert not any(_is_shell(keyword) for keyword in node.keywords), path
                assert ast.unparse(node.func) not in ("os.system", "os.popen"), path


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
    broad = {
        f"{path.relative_to(PACKAGE).as_posix()}:{function}"
        for path in SOURCES
        for function in _functions_with_broad_excepts(ast.parse(path.read_text()))
    }
    assert broad == set(BROAD_EXCEPTS)


@pytest.mark.parametrize(
    ("handler", "broad"),
    [
        ("except:", True),
        ("except Exception:", True),
        ("except BaseException as error:", True),
        ("except (Exception, SystemExit):", True),
        ("except (ValueError, builtins.BaseException):", True),
        ("except* Exception:", True),
        ("except (ValueError, OSError):", False),
        ("except subprocess.TimeoutExpired:", False),
    ],
)
def test_every_way_to_catch_everything_is_seen(handler: str, broad: bool) -> None:
    tree = ast.parse(f"try:\n    pass\n{handler}\n    pass")
    assert list(_functions_with_broad_excepts(tree)) == ["<module>"] * broad


def test_files_and_functions_stay_small() -> None:
    lengths = []
    for path in SOURCES:
        text = path.read_text()
        assert text.count("\n") <= 250, path
        for function in _functions(ast.parse(text)):
            lengths.append(_length(function))
            assert lengths[-1] <= 50, f"{path}: {function.name} has {lengths[-1]} lines"
    assert median(lengths) <= 6
    assert quantiles(lengths, n=10)[-1] <= 16


@pytest.mark.parametrize("layer", ["core", "services", "stores", "web"])
def test_no_room_holds_more_than_fifteen_files(layer: str) -> None:
    files = Counter(path.parent for path in (PACKAGE / layer).rglob("*.py"))
    del files[PACKAGE / "stores/database/migrations/versions"]  # published ones stay where they are
    assert files
    assert {str(room): count for room, count in files.items() if count > 15} == {}


def test_imports_inside_strings_resolve() -> None:
    """Code for another process, and users' modules that a test writes."""
    for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for text in _texts(ast.parse(path.read_text())):
            for name in _imports_in(text):
                assert _resolves(name), f"{path}: there is no {name}"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import sys, mlengine.app; sys.exit()", ["mlengine.app"]),
        (
            "\nfrom mlengine.core.bars import bars, intervals as i\nimport os\n",
            ["mlengine.core.bars.bars", "mlengine.core.bars.intervals"],
        ),
        ("from mlengine.errors import (\n  LeaseLost,\n)", ["mlengine.errors.LeaseLost"]),
        ("-m tests.processes.race_for_run", ["tests.processes.race_for_run"]),
        ("run `python -m mlengine up`", []),
    ],
)
def test_imports_inside_a_string_are_found(text: str, names: list[str]) -> None:
    assert _imports_in(text) == names


@pytest.mark.parametrize("name", ["mlengine.nowhere", "mlengine.errors.Nothing", "mlengine.a.b.c"])
def test_a_name_that_stands_nowhere_does_not_resolve(name: str) -> None:
    assert not _resolves(name)


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


def _guards(app: Flask, prefix: str) -> dict[tuple[str, str], Guard | None]:
    other = [each for each in PREFIXES.values() if each and each != prefix]
    return {
        (method, rule.rule.removeprefix(prefix)): guard_of(app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(prefix) and not any(rule.rule.startswith(each) for each in other)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def _length(function: Function) -> int:
    """Lines of the body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _functions_with_broad_excepts(node: ast.AST, name: str = "<module>") -> Iterator[str]:
    if isinstance(node, ast.ExceptHandler) and _catches_everything(node):
        yield name
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, Function) else name
        yield from _functions_with_broad_excepts(child, inside)


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind).rpartition(".")[2] for kind in kinds}
    return not names.isdisjoint({"Exception", "BaseException"})


def _texts(tree: ast.AST) -> list[str]:
    """The string constants, and the constant parts of f-strings."""
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [value for value in constants if isinstance(value, str)]


def _imports_in(text: str) -> list[str]:
    """What `text` imports of this project, if it is code, and the processes that it names."""
    names = re.findall(r"\btests\.processes\.\w+", text)
    names += re.findall(r"\bimport (?:[\w.]+, )*(mlengine[\w.]*)", text)
    pattern = r"\bfrom ((?:mlengine|tests)[\w.]*) import (?:\(([\w,\s]+)\)|([\w, ]+))"
    for module, in_brackets, in_line in re.findall(pattern, text):
        imported = [each.split() for each in (in_brackets or in_line).split(",")]
        names += [f"{module}.{words[0]}" for words in imported if words]
    return names


def _resolves(name: str) -> bool:
    """Whether `name` is a module or what stands in one."""
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name):
            return True
    module, _, attribute = name.rpartition(".")
    with suppress(ModuleNotFoundError):
        return hasattr(importlib.import_module(module), attribute)
    return False


def _is_shell(keyword: ast.keyword) -> bool:
    """`shell=` with anything but a plain False."""
    return keyword.arg == "shell" and ast.unparse(keyword.value) != "False"


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return set()
