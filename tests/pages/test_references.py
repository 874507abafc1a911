"""Whatever a page names is there: links, commands, targets, variables, routes, files, modules."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import click
import pytest
from tests.pages.markdown import PAGES, ROOT, anchors, code, name_of, section
from tests.settings_read import settings_read
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter

from mlengine import __main__, cli
from mlengine.app import create_app
from mlengine.bootstrap import ENTRY_POINT_GROUP, MARKET_DATA_GROUP
from mlengine.config import Settings

PACKAGE = ROOT / "src" / "mlengine"
# Names in capitals that aren't settings, and paths that aren't routes.
NOT_SETTINGS = {
    "ACTIVE",
    "ARTIFACTS",
    "BASE_IMAGE",
    "CA_BUNDLE",
    "DEBIAN_MIRROR",
    "DEBIAN_SUITE",
    "FLASK_SKIP_DOTENV",
    "KEY",
    "LC_ALL",
    "MLENGINE_NAME",
    "POSTGRES_PASSWORD",
    "PR_SET_PDEATHSIG",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "SCRIPT_NAME",
    "TMPDIR",
    "TZ",
}
NOT_ROUTES = ("/api/v1/…", "/app/", "/candles", "/dev/", "/tmp", "/…")
# What is written where a page leaves the value open.
FILLED_IN = {"version": "v1", "id": "0" * 32, "prediction_id": "0" * 32}

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> MapAdapter:
    folder = str(tmp_path_factory.mktemp("artifacts"))
    settings = Settings.from_env({"ARTIFACTS_DIR": folder, "ADMIN_API_KEY": "k" * 32})
    return create_app(settings).url_map.bind("localhost")


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if "://" in target:
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), f"{target}#{anchor}"


@each_page
def test_every_make_target_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in code(page.read_text()):
        assert set(re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text)) <= targets, text


@each_page
def test_every_command_is_one_with_these_options(page: Path) -> None:
    for text in code(page.read_text()):
        for program, arguments in re.findall(r"(?:^|[/ |])(mlengine|flask) ([a-z][^|>&;]*)", text):
            if "://" not in text and "==" not in text:
                resolve(program, arguments.split())


@each_page
def test_every_variable_is_a_setting(page: Path) -> None:
    pattern = r"(?<![\w-])(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]|[A-Z]+(?==))(?![\w*…|])"
    for text in code(page.read_text()):
        named = set(re.findall(pattern, text))
        assert named <= settings_read() | NOT_SETTINGS, text


@each_page
def test_every_route_is_one(page: Path, routes: MapAdapter) -> None:
    previous = "/"
    for text in code(page.read_text()):
        for method, path in routes_in(text):
            sibling = previous.rpartition("/")[0] + path
            assert is_route(routes, method, path) or is_route(routes, method, sibling), text
            previous = path if is_route(routes, method, path) else sibling


@each_page
def test_every_file_and_module_is_there(page: Path) -> None:
    for text in code(page.read_text()):
        for name in re.findall(r"(?:^|[ (])((?:\w[\w.-]*/)*\w+\.py|(?:src|tests)/[\w/.]*\w)", text):
            places = [ROOT, PACKAGE, ROOT / "tests", page.parent]
            assert any((place / name).exists() for place in places), name
        for name in re.findall(r"(?:^|\s)(?:-m )?((?:mlengine|benchmarks)(?:\.\w+)+)", text):
            assert name in (ENTRY_POINT_GROUP, MARKET_DATA_GROUP) or is_importable(name), name


def test_the_readme_names_every_command() -> None:
    table = section((ROOT / "README.md").read_text(), "Commands")
    tree = __main__.mlengine
    context = click.Context(tree)
    for row in re.findall(r"^\| (`.*)\|$", table, re.MULTILINE):
        names, _, words = row.partition(" | ")
        subcommands = re.findall(r"`([^`]+)`", words)
        for name in re.findall(r"`([^`]+)`", names):
            resolve("mlengine", name.split())
            for subcommand in subcommands:
                resolve("mlengine", [name.split()[0], *subcommand.split()])
    listed = set(re.findall(r"`([^`]+)`", table))
    public = {name for name in tree.list_commands(context) if not is_hidden(context, name)}
    assert public <= {name.split()[0] for name in listed}


def test_the_api_page_has_every_route(routes: MapAdapter) -> None:
    headings = re.findall(r"^### .*", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    shown = set(re.findall(r"`(\w+ /[^`?]*)", " ".join(headings)))
    rules = [rule for rule in routes.map.iter_rules() if not rule.rule.startswith("/api/v1")]
    assert shown == {
        f"{method} {as_written(rule.rule)}"
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def as_written(rule: str) -> str:
    """In the pages' way: `/models/{version}`."""
    return re.sub(r"<(?:version:)?(.*?)>", r"{\1}", rule)


def is_hidden(context: click.Context, name: str) -> bool:
    command = __main__.mlengine.get_command(context, name)
    return command is None or command.hidden


@cache
def tree(program: str) -> click.Group:
    if program == "mlengine":
        return __main__.mlengine
    return click.Group("flask", {name: cli.load(name) for name in cli.COMMANDS})


def resolve(program: str, arguments: list[str]) -> None:
    """Walk down the commands; any word that is no command and no option must be an argument."""
    command: click.Command = tree(program)
    context = click.Context(command)
    for word in (argument.strip("[]()`.,…") for argument in arguments):
        if word.startswith("-"):
            assert word.partition("=")[0] in options(command, context), f"{arguments}: {word}"
        elif isinstance(command, click.Group) and (child := command.get_command(context, word)):
            command, context = child, click.Context(child, parent=context)
        elif isinstance(command, click.Group) and word:
            assert command.name == "features", f"{arguments}: there is no {word}"
            command = command.commands["show"]


def options(command: click.Command, context: click.Context) -> set[str]:
    return {option for each in command.get_params(context) for option in each.opts} | {"--help"}


def routes_in(text: str) -> Iterator[tuple[str | None, str]]:
    """Of a request line, a call of curl, or a path alone."""
    if any(text.startswith(each) for each in NOT_ROUTES):
        return
    pattern = r"^(?:(GET|POST|DELETE) )?(/[a-z][\w/{}.-]*)|()localhost:8000(/[\w/-]+)"
    for method, path, _, called in re.findall(pattern, text):
        yield ("POST" if "-X POST" in text else method or None), path or called


def is_route(routes: MapAdapter, method: str | None, path: str) -> bool:
    """`path` alone, or ending in `/…`, may also be what several routes begin with."""
    for name, value in FILLED_IN.items():
        path = path.replace(f"{{{name}}}", value)
    below = f"{path.rstrip('/')}/"
    if (method is None or path.endswith("/")) and any(
        rule.rule.startswith(below) for rule in routes.map.iter_rules()
    ):
        return True
    with suppress(NotFound):
        try:
            return bool(routes.match(path, method=method))
        except MethodNotAllowed:
            return method is None
    return False


def is_importable(name: str) -> bool:
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name):
            return True
    module, _, attribute = name.rpartition(".")
    with suppress(ModuleNotFoundError):
        return hasattr(importlib.import_module(module), attribute)
    return False


@pytest.mark.parametrize(
    "command", ["models lst", "models list --jsn", "nowhere", "train runs --state --frm", "db up"]
)
def test_a_command_that_is_not_there_is_noticed(command: str) -> None:
    with pytest.raises(AssertionError):
        resolve("mlengine", command.split())


@pytest.mark.parametrize(
    "command",
    ["models list --json", "features AAPL --limit 2", "train --wait", "train schedule show", "up"],
)
def test_a_command_that_is_there_resolves(command: str) -> None:
    resolve("mlengine", command.split())


@pytest.mark.parametrize(
    ("method", "path", "there"),
    [
        ("GET", "/models/{version}", True),
        (None, "/admin/train", True),
        ("GET", "/admin/reload", False),
        (None, "/nowhere", False),
    ],
)
def test_a_route_is_there_with_its_method(
    routes: MapAdapter, method: str | None, path: str, there: bool
) -> None:
    assert is_route(routes, method, path) is there
