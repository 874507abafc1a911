"""`flask train`: whom it joins, and what it shows meanwhile."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner
from tests.platforms import make_platform, settings
from tests.published import draft, publish
from tests.queue_process import QueueProcess

from mlengine import logs
from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.cli.progress import NoDisplay, ProgressBar, StageLines
from mlengine.core.promotion.gate import Decision
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.core.versions.data_entry import SkippedSymbol
from mlengine.stores.runs.rows import NewRun

NOW = datetime(2026, 1, 2, tzinfo=UTC)
QUEUED = Run(
    run_id="one", seq=1, state="queued", spec="{}", actor="ops", request_id=None, queued_at=NOW
)
PROMOTED = Decision("always", True, "policy_always", None, {})
REFUSED = Decision("if_better", False, "not_better_than_champion", "v1", {})
FITTING = replace(QUEUED, state="running", progress=Progress(stage="fit", percent=50.0))
FOLDING = replace(
    QUEUED, state="running", progress=Progress(stage="folds", percent=20.4, fold=2, folds=5)
)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with QueueProcess() as queue:
        yield make_platform(tmp_path, models=0, REDIS_URL=queue.url)


@pytest.fixture
def runner(platform: Platform, tmp_path: Path) -> FlaskCliRunner:
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


@contextmanager
def ending(
    platform: Platform, state: str, *, besides: str = "", version: str = "v1"
) -> Iterator[list[str]]:
    """A worker's stand-in: lets each run end like this as soon as it is there, but for one."""
    store, ended, over = platform.control.run_store, [], threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            for run_id in store.unfinished_ids() - {besides}:
                now = datetime.now(UTC)
                store.start(run_id, now=now, lease_seconds=30)
                ended.append(run_id)
                published = version if state == "succeeded" else None
                store.finish(run_id, state=state, now=now, version=published, error=None)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield ended
    finally:
        over.set()
        worker.join()


def test_a_run_that_is_waited_for_ends_the_command(
    platform: Platform, runner: FlaskCliRunner
) -> None:
    with ending(platform, "succeeded") as ended:
        result = runner.invoke(args=["train", "--wait"])
    assert (result.exit_code, result.stdout) == (0, f"run {ended[0]} succeeded: v1\n")
    assert "waiting for a worker" in result.stderr


@pytest.mark.parametrize(
    ("version", "promote", "said"),
    [
        ("v1", True, "active (policy always)"),
        (
            "v2",
            True,
            "not active (another version was activated meanwhile, or it waits for approval)",
        ),
        ("v2", False, "not promoted (not better than champion)"),
    ],
)
def test_a_version_is_named_with_what_became_of_it_and_why(
    runner: FlaskCliRunner, platform: Platform, version: str, promote: bool, said: str
) -> None:
    directory = platform.registry.directory
    for number in (1, 2):
        publish(directory, run_id=f"run{number}", gate=PROMOTED if promote else REFUSED)
    platform.registry.activate("v1", actor="test", reason="test", now=NOW)
    with ending(platform, "succeeded", version=version) as ended:
        result = runner.invoke(args=["train", "--wait"])
    assert result.stdout == f"run {ended[0]} succeeded: {version}, {said}\n"


def test_symbols_that_a_training_had_to_do_without_are_named(
    runner: FlaskCliRunner, platform: Platform
) -> None:
    data = replace(draft().data, skipped_symbols=(SkippedSymbol("NOSUCH", "it is unknown"),))
    publish(platform.registry.directory, run_id="run1", gate=REFUSED, data=data)
    with ending(platform, "succeeded", version="v1"):
        result = runner.invoke(args=["train", "--wait"])
    assert result.stdout.endswith("; without NOSUCH, see `mlengine models show v1`\n")
    shown = runner.invoke(args=["models", "show", "v1"]).stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in shown if line.startswith("skipped")] == [
        "NOSUCH: it is unknown"
    ]


def test_a_run_that_fails_is_exit_code_one_with_its_reason(
    platform: Platform, runner: FlaskCliRunner
) -> None:
    with ending(platform, "failed") as ended:
        result = runner.invoke(args=["train", "--wait"])
    assert result.exit_code == 1
    assert result.stdout == f"run {ended[0]} failed: no reason was recorded\n"


def test_the_first_training_joins_the_live_run(platform: Platform, runner: FlaskCliRunner) -> None:
    asked = runner.invoke(args=["train"]).stdout
    joined = runner.invoke(args=["train", "--first"])
    assert (joined.exit_code, joined.stdout) == (0, asked)
    assert "is queued" in asked


def test_the_first_training_asks_anew_when_the_joined_run_is_lost(
    platform: Platform, runner: FlaskCliRunner
) -> None:
    runs, now = platform.control.run_store, datetime.now(UTC)
    runs.create(NewRun(run_id="dying", spec="{}", actor="ops", request_id=None), now=now)
    runs.start("dying", now=now, lease_seconds=1)
    with ending(platform, "succeeded", besides="dying") as ended:
        result = runner.invoke(args=["train", "--first", "--wait"])
    assert len(ended) == 1
    assert result.stdout == f"run {ended[0]} succeeded: v1\n"
    assert platform.control.runs.get("dying", now=now).state == "lost"


def test_the_first_training_asks_anew_at_once_after_an_abandoned_run(
    platform: Platform, runner: FlaskCliRunner
) -> None:
    platform.control.run_store.create(
        NewRun(run_id="dead", spec="{}", actor="ops", request_id=None), now=NOW
    )
    later = datetime.now(UTC) + timedelta(hours=1)
    platform.control.run_store.start("dead", now=later, lease_seconds=30)
    platform.control.runs.mark_running_as_lost(now=datetime.now(UTC))
    result = runner.invoke(args=["train", "--first"])
    assert "is queued" in result.stdout
    assert "dead" not in result.stdout


def test_json_shows_nothing_on_the_way(platform: Platform, runner: FlaskCliRunner) -> None:
    with ending(platform, "succeeded"):
        result = runner.invoke(args=["train", "--wait", "--json"])
    assert result.stderr == ""
    assert '"succeeded"' in result.stdout


def test_a_line_is_logged_whenever_the_stage_changes(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", json=False, lifecycle_level="INFO")
    lines = StageLines()
    for run in (QUEUED, QUEUED, FOLDING, FITTING, FITTING):
        lines.update(run)
    lines.end(FITTING)
    facts = [line.split(" training ")[1] for line in capsys.readouterr().err.splitlines()]
    assert [re.sub("run_id=[^ ]+ ", "", line) for line in facts] == [
        'stage="waiting for a worker" percent=0',
        'stage="folds 2 of 5" percent=20',
        "stage=fit percent=50",
    ]


def test_a_bar_is_drawn_in_place_and_left_full_or_where_it_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = ProgressBar()
    bar.update(FITTING)
    half, full = "#" * 15 + "-" * 15, "#" * 30
    assert _drawn(capsys) == f"\rtraining [{half}]  50 %  fit"
    bar.end(replace(FITTING, state="succeeded"))
    assert _drawn(capsys) == f"\rtraining [{full}] 100 %\n"
    bar.end(replace(FITTING, state="failed"))
    assert _drawn(capsys) == "\n"


def test_nothing_is_shown_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = NoDisplay()
    nothing.update(FITTING)
    nothing.end(FITTING)
    assert capsys.readouterr() == ("", "")


def _drawn(capsys: pytest.CaptureFixture[str]) -> str:
    """Without the code that clears the line, which only a terminal gets."""
    return capsys.readouterr().err.replace("\x1b[K", "")


def test_runs_are_listed_shown_and_cancelled(platform: Platform, runner: FlaskCliRunner) -> None:
    assert runner.invoke(args=["train", "status"]).output == "there has been no run\n"
    assert runner.invoke(args=["train", "status", "--json"]).output == "null\n"
    run_id = runner.invoke(args=["train", "--json"]).stdout.split('"run_id": "')[1].split('"')[0]
    listed = runner.invoke(args=["train", "runs", "--state", "queued"]).stdout.splitlines()
    assert listed[0].split() == ["run", "kind", "state", "%", "queued", "ended", "version", "by"]
    assert listed[1].split()[:3] == [run_id, "train", "queued"]
    assert json.loads(runner.invoke(args=["train", "runs", "--json"]).stdout)[0]["run_id"] == run_id
    shown = runner.invoke(args=["train", "status", run_id]).stdout
    assert "state" in shown
    assert "queued" in shown
    detail = json.loads(runner.invoke(args=["train", "status", "--json"]).stdout)
    assert detail["parameters"]["folds"] == platform.control.runs.defaults.folds
    cancelled = runner.invoke(args=["train", "cancel"])
    assert cancelled.stdout.startswith(f"run {run_id} cancelled: cancelled by cli")
    none = runner.invoke(args=["train", "cancel"])
    assert (none.exit_code, none.stderr) == (3, "run_not_found: no run is queued or running\n")
    again = runner.invoke(args=["train", "cancel", run_id, "--json"])
    told = json.loads(again.stdout)
    assert (told["state"], told["parameters"]["folds"]) == (
        "cancelled",
        detail["parameters"]["folds"],
    )
    assert not {"spec", "seq", "idempotency_key", "body_hash"} & set(told)
    assert runner.invoke(args=["train", "status", "none"]).exit_code == 3


def test_an_ended_run_is_not_cancelled(platform: Platform, runner: FlaskCliRunner) -> None:
    platform.control.run_store.create(
        NewRun(run_id="one", spec="{}", actor="ops", request_id=None), now=NOW
    )
    platform.control.run_store.finish("one", state="succeeded", now=NOW)
    refused = runner.invoke(args=["train", "cancel", "one"])
    assert refused.exit_code == 1
    assert refused.stderr == "run_not_cancellable: run one is succeeded and can't be cancelled\n"


def test_the_schedule_is_shown_with_its_ticks(platform: Platform, tmp_path: Path) -> None:
    show = ["train", "schedule", "show"]
    off = create_app(settings(tmp_path), platform=platform).test_cli_runner()
    assert off.invoke(args=show).stdout == "nothing is scheduled\n"
    on = create_app(settings(tmp_path, TRAIN_SCHEDULE=" 30 2 *  * 1-5")).test_cli_runner()
    shown = on.invoke(args=show).stdout
    assert "30 2 * * 1-5" in shown
    assert shown.count("next tick") == 5
    assert "no worker is alive" in shown
    told = json.loads(on.invoke(args=[*show, "--json"]).stdout)
    assert (told["expression"], told["last_tick"]) == ("30 2 * * 1-5", None)
    assert len(told["next_ticks"]) == 5
    changed = on.invoke(args=["train", "schedule", "set", "0  3 * * *"])
    assert changed.stdout.startswith("the next tick is ")
    shown = on.invoke(args=show).stdout
    assert "TRAIN_SCHEDULE of this host is 30 2 * * 1-5, which does not count" in shown
    assert off.invoke(args=["train", "schedule", "clear"]).stdout == "nothing is scheduled\n"
    assert on.invoke(args=["train", "schedule", "set", "daily"]).exit_code == 2


def test_the_status_of_a_reproduction_says_whether_it_was_identical(
    platform: Platform, runner: FlaskCliRunner
) -> None:
    runs = platform.control.run_store
    asked = NewRun(run_id="one", kind="reproduce", spec="{}", actor="ops", request_id=None)
    runs.create(asked, now=NOW)
    runs.finish("one", state="succeeded", now=NOW, result={"version": "v1", "identical": True})
    lines = runner.invoke(args=["train", "status"]).stdout.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["run_id", "one"],
        ["kind", "reproduce"],
        ["state", "succeeded"],
    ]
    assert ["identical", "yes"] in [line.split() for line in lines]
