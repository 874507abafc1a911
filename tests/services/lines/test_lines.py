from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.databases import new_database
from tests.web.platform import OFFERS, SPEC

from mlengine.core.lines.line import LineDefinition
from mlengine.core.runs.progress import Progress
from mlengine.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    LineNotFound,
    LineRetired,
    RefusedLineFiles,
)
from mlengine.services.lines.directory import LineDirectory
from mlengine.services.lines.service import LineService
from mlengine.services.runs.service import RunService
from mlengine.stores.database.engine import open_database
from mlengine.stores.lines.folder import LineFile
from mlengine.stores.lines.store import LineStore
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.runs.store import RunStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SLOW = LineDefinition(recipe={"horizon_bars": 20})


class Queue:
    """Takes whatever it is given."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def remove_job(self, run_id: str) -> None:
        self.removed.append(run_id)


@pytest.fixture
def lines(tmp_path: Path) -> LineService:
    engine = open_database(new_database(tmp_path / "audit.db"))
    store = LineStore(engine)
    runs = RunService(RunStore(engine), cast("Any", Queue()), SPEC, 60)
    return LineService(
        store, LineDirectory(store), runs, ScheduleStore(engine), SPEC, tmp_path, OFFERS
    )


def _live_run(lines: LineService, name: str) -> str:
    new = NewRun(run_id=f"run-{name}", spec="{}", actor="ann", request_id=None)
    return lines.runs_of(name).store.create(new, now=NOW).run_id


@pytest.mark.parametrize(
    ("name", "definition", "field"),
    [
        ("main", SLOW, "name"),
        ("Slow", SLOW, "name"),
        ("slow", LineDefinition(recipe={"horizon_bars": 0}), "recipe.horizon_bars"),
    ],
)
def test_what_is_refused_is_not_saved(lines, name, definition, field):
    with pytest.raises(InvalidRequest) as refusal:
        lines.save(name, definition, actor="ann", now=NOW)
    assert list(refusal.value.errors) == [field]
    assert [line.name for line in lines.list()] == ["main"]


def test_a_recipe_with_an_engine_that_is_not_there_is_not_saved(lines):
    shared = LineDefinition(recipe={"engine": "dask"})
    offers = replace(lines.offers, engine_refusals={"dask": "needs an address"})
    without = replace(lines, offers=offers)
    with pytest.raises(InvalidRequest) as refusal:
        without.save("big", shared, actor="ann", now=NOW)
    assert refusal.value.errors == {"recipe.engine": ["needs an address"]}
    assert lines.save("big", shared, actor="ann", now=NOW)[0].recipe["engine"] == "dask"


def test_a_line_is_read_by_its_name(lines):
    lines.save("slow", SLOW, actor="ann", now=NOW)
    assert (lines.get("slow").recipe["horizon_bars"], lines.get("main").recipe) == (
        20,
        SPEC.to_dict(),
    )
    with pytest.raises(LineNotFound):
        lines.get("nobody")


def test_retiring_cancels_the_live_run_and_forgets_the_schedule(lines):
    lines.save("slow", replace(SLOW, schedule="0 2 * * *"), actor="ann", now=NOW)
    run_id = _live_run(lines, "slow")
    assert lines.get("slow").live_run_id == run_id
    retired = lines.retire("slow", actor="bob", now=NOW)
    assert (retired.state, retired.live_run_id, retired.schedule) == ("retired", None, None)
    assert lines.runs.get(run_id, now=NOW).state == "cancelled"
    assert lines.schedule_of("slow").read() is None
    assert lines.retire("slow", actor="bob", now=NOW) == retired
    with pytest.raises(InvalidRequest, match="main can't be retired"):
        lines.retire("main", actor="bob", now=NOW)


def test_a_run_past_the_last_point_of_return_outlives_its_line(lines):
    lines.save("slow", SLOW, actor="ann", now=NOW)
    run_id, store = _live_run(lines, "slow"), lines.runs.store
    store.start(run_id, now=NOW, lease_seconds=60)
    publishing = Progress(stage=Progress.PUBLISHING, percent=99.0)
    store.renew(run_id, now=NOW, lease_seconds=60, progress=publishing)
    assert lines.retire("slow", actor="bob", now=NOW).state == "retired"
    assert store.get(run_id, now=NOW).state == "running"


def test_files_are_taken_in_all_or_none(lines):
    good = LineFile("good", SLOW, "1" * 64, Path("good.toml"))
    recipe = {"horizon": 1, "universe_file": "nowhere.csv"}
    bad = LineFile("bad", LineDefinition(recipe=recipe, interval="1h"), "2" * 64, Path("bad.toml"))
    worse = replace(bad, name="worse", path=Path("worse.toml"))
    with pytest.raises(RefusedLineFiles) as refusal:
        lines.take_files([good, bad, worse], now=NOW)
    assert [text.split(" ")[:4] for text in refusal.value.refusals] == [
        [file, "is", "refused:", field]
        for file in ("bad.toml", "worse.toml")
        for field in ("interval", "recipe.universe_file", "recipe.horizon")
    ]
    assert len(lines.list()) == 1
    assert lines.take_files([good], now=NOW) == ("good",)
    assert lines.take_files([good], now=NOW) == ()


def test_a_file_that_was_taken_in_is_warned_of_when_what_it_names_has_gone(
    lines: LineService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    members = tmp_path / "members.csv"
    members.write_text("symbol,from,to\nAAPL,2000-01-01,\n")
    file = LineFile(
        "slow", LineDefinition(recipe={"universe_file": str(members)}), "1" * 64, Path("slow.toml")
    )
    assert lines.take_files([file], now=NOW) == ("slow",)
    members.unlink()
    assert lines.take_files([file], now=NOW) == ()
    (warned,) = caplog.records
    assert "slow.toml is refused: recipe.universe_file" in warned.__dict__["reason"]
    with pytest.raises(RefusedLineFiles, match=r"members\.csv must be a file"):
        lines.take_files([replace(file, sha256="2" * 64)], now=NOW)


@pytest.mark.parametrize(
    ("definition", "reasons"),
    [
        (LineDefinition(), {}),
        (LineDefinition(interval="1d"), {}),
        (
            LineDefinition(interval="1h"),
            {"interval": ["there is no 1h"]},
        ),
        (
            LineDefinition(recipe={"feature_set": "core.no_volume"}),
            {"recipe.feature_set": ["must be one of core"]},
        ),
        (
            LineDefinition(recipe={"lookback": 83, "horizon_bars": 20}),
            {"recipe.lookback": ["is too short: one labelled row needs 84 bars"]},
        ),
        (LineDefinition(recipe={"lookback": 84, "horizon_bars": 20}), {}),
        (LineDefinition(recipe={"lookback": 0, "feature_set": "core"}), {}),
        (
            LineDefinition(recipe={"seed": "many", "lookback": 1}),
            {"recipe.seed": ["must be a whole number from 0 to 2147483647"]},
        ),
    ],
)
def test_what_could_only_fail_in_training_is_refused(
    lines: LineService, definition: LineDefinition, reasons: dict[str, list[str]]
) -> None:
    assert lines.refusals("slow", definition) == reasons


def test_a_copy_is_what_a_line_is_now(lines):
    lines.save("slow", replace(SLOW, note="old", schedule="0 2 * * *"), actor="ann", now=NOW)
    made = lines.copy("slow", "slower", {"horizon_bars": 40}, actor="bob", now=NOW)
    assert (made.recipe["horizon_bars"], made.note, made.schedule) == (40, "old", "0 2 * * *")
    assert lines.get("slow").recipe["horizon_bars"] == 20
    with pytest.raises(InvalidRequest):
        lines.copy("slow", "slower", {}, actor="bob", now=NOW)


class Store:
    """Lines that can be read, or not."""

    def __init__(self, store: LineStore) -> None:
        self.store, self.down, self.reads = store, False, 0

    def read_all(self) -> object:
        self.reads += 1
        if self.down:
            raise DatabaseUnavailable("it is down")
        return self.store.read_all()


def test_a_process_looks_each_second_and_goes_on_by_what_it_knows(lines):
    lines.save("slow", SLOW, actor="ann", now=NOW)
    seconds = [0.0]
    store = Store(lines.store)
    directory = LineDirectory(cast("Any", store), timer=lambda: seconds[-1])
    assert directory.at_hand("slow") is None
    assert [line.name for line in directory.active()] == ["slow"]
    assert directory.at_hand("slow") == directory.find_active("slow")
    assert store.reads == 1
    store.down = True
    seconds.append(1.0)
    assert directory.at_hand("slow") is None
    assert directory.find("slow").name == "slow"
    assert store.reads == 2
    store.down = False
    lines.retire("slow", actor="ann", now=NOW + timedelta(days=1))
    seconds.append(2.0)
    assert directory.active() == ()
    assert directory.at_hand("slow") is None
    with pytest.raises(LineRetired):
        directory.find_active("slow")
    with pytest.raises(LineNotFound):
        directory.find("main")
    store.down = True
    directory.forget()
    with pytest.raises(DatabaseUnavailable):
        directory.find("slow")


def test_a_line_and_its_schedule_are_stored_together(
    lines: LineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    nightly = replace(SLOW, schedule="0 2 * * *")
    lines.save("slow", SLOW, actor="ann", now=NOW)

    def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("its disk is full")

    with monkeypatch.context() as full:
        full.setattr(ScheduleStore, "set_within", fail)
        with pytest.raises(DatabaseUnavailable):
            lines.save("slow", nightly, actor="ann", now=NOW)
    assert lines.get("slow").revision == 1
    again, change = lines.save("slow", nightly, actor="ann", now=NOW)
    assert (again.schedule, again.revision, change) == ("0 2 * * *", 2, "changed")
