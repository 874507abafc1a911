from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.databases import new_database

from mlengine.core.lines.line import LineDefinition
from mlengine.errors import CannotStart, DamagedRow, LineNotFound
from mlengine.stores.database.engine import open_database, writing
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.tables import lines
from mlengine.stores.lines.folder import LineFolder
from mlengine.stores.lines.store import LineStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHORT, LONG = (LineDefinition(recipe={"horizon_bars": bars}) for bars in (1, 20))


@pytest.fixture
def store(tmp_path: Path) -> LineStore:
    return LineStore(open_database(new_database(tmp_path / "audit.db")))


def _kinds(store: LineStore, line: str) -> list[str]:
    return [event.kind for event in EventStore(store.engine, line).page(None, 10, None).rows]


def test_a_line_is_created_changed_retired_and_brought_back(store):
    line, change = store.save("a", SHORT, actor="ann", now=NOW)
    assert (line.revision, line.state, change) == (1, "active", "created")
    assert store.save("a", SHORT, actor="bob", now=NOW) == (line, "unchanged")
    later = NOW + timedelta(days=1)
    line, change = store.save("a", LONG, actor="bob", now=later)
    assert (line.revision, line.actor, line.created_at, change) == (2, "bob", NOW, "changed")
    retired = store.retire("a", actor="cyd", now=later)
    assert retired.is_retired
    assert store.retire("a", actor="dan", now=later) == retired
    line, _ = store.save("a", LONG, actor="ann", now=later)
    assert (line.state, line.revision) == ("active", 4)
    assert store.read_all() == (line,)
    kinds = ["line_changed", "line_retired", "line_changed", "line_created"]
    assert _kinds(store, "a") == kinds
    assert _kinds(store, "main") == []
    with pytest.raises(LineNotFound):
        store.retire("b", actor="ann", now=NOW)


def test_a_file_is_taken_in_once_and_does_not_undo_what_came_after_it(store):
    store.save("a", SHORT, actor="file", now=NOW, file_sha256="one")
    store.save("a", LONG, actor="ann", now=NOW)
    line, change = store.save("a", SHORT, actor="file", now=NOW, file_sha256="one")
    assert (line.definition, change) == (LONG, "unchanged")
    line, change = store.save("a", SHORT, actor="file", now=NOW, file_sha256="two")
    assert (line.definition, change) == (SHORT, "changed")


def test_a_damaged_definition_is_told(store):
    store.save("a", SHORT, actor="ann", now=NOW)
    for text in ("[]", '{"recipe": 3}'):
        with writing(store.engine) as connection:
            connection.execute(update(lines).values(definition=text))
        with pytest.raises(DamagedRow):
            store.read_all()


def test_a_folder_of_files_defines_lines(tmp_path):
    (tmp_path / "b.toml").write_text('note = "slow"\n[recipe]\nhorizon_bars = 20\n')
    (tmp_path / "a.toml").write_text('interval = "1h"\n')
    (tmp_path / "readme.txt").write_text("not a line")
    a, b = LineFolder(tmp_path).read()
    assert (a.name, a.definition) == ("a", LineDefinition(interval="1h"))
    assert (b.name, b.definition) == (
        "b",
        LineDefinition(recipe={"horizon_bars": 20}, note="slow"),
    )
    assert a.sha256 != b.sha256
    assert LineFolder(tmp_path / "none").read() == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("main", ""),
        ("Upper", ""),
        ("a", "interval = "),
        ("a", "interval = 3"),
        ("a", 'colour = "red"'),
        ("a", b"\xff"),
    ],
)
def test_a_bad_file_stops_the_start_and_is_named(tmp_path, name, content):
    path = tmp_path / f"{name}.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CannotStart, match=f"{name}.toml"):
        LineFolder(tmp_path).read()


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path):
    (tmp_path / "a.toml").mkdir()
    with pytest.raises(CannotStart, match="can't be read"):
        LineFolder(tmp_path).read()


def test_of_hosts_that_take_in_the_same_file_at_once_one_creates_the_line(
    postgres_url: str,
) -> None:
    engine = open_database(postgres_url)
    migrate(postgres_url)

    def take_in(_: int) -> str:
        return LineStore(engine).save("a", SHORT, actor="file", now=NOW, file_sha256="one")[1]

    with ThreadPoolExecutor(5) as hosts:
        changes = sorted(hosts.map(take_in, range(5)))
    assert changes == ["created", *["unchanged"] * 4]
    engine.dispose()
