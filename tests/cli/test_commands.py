from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner
from flask.testing import FlaskCliRunner
from tests.factories import random_bars
from tests.platforms import bars_folder, make_platform, settings
from tests.published import SPEC, TRAINED_THROUGH, publish
from tests.queue_process import QueueProcess

from mlengine import cli
from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path, models=2)


@pytest.fixture
def runner(platform: Platform, tmp_path: Path) -> FlaskCliRunner:
    return create_app(settings(tmp_path), platform=platform).test_cli_runner()


def said(runner: FlaskCliRunner, *arguments: str) -> object:
    result = runner.invoke(args=[*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_no_list_of_commands_cuts_off_what_one_does(runner: FlaskCliRunner) -> None:
    groups = [()] + [(name,) for name, at in runner.app.cli.commands.items() if is_group(at)]
    for path in [*groups, ("train", "schedule")]:
        listed = runner.invoke(args=[*path, "--help"], terminal_width=80).stdout
        _, commands = listed.split("Commands:\n")
        assert "..." not in commands, listed


@pytest.mark.parametrize("name", sorted(cli.COMMANDS.keys() - {"limiter"}))
def test_the_light_list_says_what_each_command_says_of_itself(name: str) -> None:
    assert cli.load(name).get_short_help_str(limit=80) == cli.COMMANDS[name]


_RANGES = {
    "audit export": ["--parquet", "rows"],
    "audit replay": [],
    "monitor history": [],
    "signals export": ["panel.csv"],
}


@pytest.mark.parametrize("command", _RANGES)
@pytest.mark.parametrize("order", [1, -1])
def test_a_range_that_ends_before_it_begins_is_wrong_usage(command: str, order: int) -> None:
    """In whichever order it is given, and before anything is looked at."""
    group, name = command.split()
    bounds = [("--since", "2024-05-02"), ("--until", "2024-05-01")][::order]
    arguments = [name, *_RANGES[command], *(text for bound in bounds for text in bound)]
    result = CliRunner().invoke(cli.load(group), arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--since: is after until: 2024-05-02T00:00:00Z is after 2024" in result.stderr


def test_every_command_that_takes_a_range_is_among_them() -> None:
    groups = {name: cli.load(name) for name in cli.COMMANDS if name != "limiter"}
    with_range = {
        f"{group} {name}"
        for group, commands in groups.items()
        if isinstance(commands, click.Group)
        for name, command in commands.commands.items()
        if {"since", "until"} <= {parameter.name for parameter in command.params}
    }
    assert with_range == {*_RANGES}


def test_help_and_usage_errors_load_no_library_but_click() -> None:
    modules = ", ".join(f"mlengine.cli.{name}" for name in cli.COMMANDS if name != "limiter")
    heavy = {"polars", "lightgbm", "numpy", "scipy", "sqlalchemy", "alembic", "flask", "redis"}
    code = f"import sys, {modules}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not heavy & {*loaded.stdout.split()}


# In the order of what they need, for one process runs them all.
_NEEDED: dict[str, set[str]] = {
    "models list": set(),
    "sizes": set(),
    "train runs": {"sqlalchemy"},
    "audit tail": {"sqlalchemy"},
    "monitor history": {"sqlalchemy"},
    "models verify": {"sqlalchemy"},
    "monitor latency": {"sqlalchemy", "numpy"},
    "monitor freshness": {"sqlalchemy", "numpy", "polars"},
    "monitor drift": {"sqlalchemy", "numpy", "polars"},
}


def test_what_needs_no_model_loads_none(tmp_path: Path) -> None:
    make_platform(tmp_path)
    code = f"""
import sys
from mlengine.__main__ import mlengine
for command in {[*_NEEDED]}:
    before = sys.stdout.tell()
    mlengine(command.split(), standalone_mode=False)
    sys.stdout.flush()
    assert sys.stdout.tell() > before, command
    print(*{{name.split('.')[0] for name in sys.modules}}, file=sys.stderr)
"""
    environ = {**os.environ, "ARTIFACTS_DIR": str(tmp_path / "artifacts")}
    with (tmp_path / "said").open("w") as said:
        loaded = subprocess.run(
            [sys.executable, "-c", code],
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            cwd=tmp_path,
            env=environ,
        )
    heavy = {"polars", "lightgbm", "numpy", "scipy", "sqlalchemy", "alembic", "flask", "redis"}
    loaded_by_then = [heavy & {*line.split()} for line in loaded.stderr.splitlines()]
    assert dict(zip(_NEEDED, loaded_by_then, strict=True)) == _NEEDED


@pytest.mark.parametrize(
    "command",
    ["models list", "models show v1", "audit tail", "monitor latency", "monitor freshness"]
    + ["predict AAPL", "reload", "dataset export v1 --parquet rows", "train status", "train"],
)
def test_where_no_platform_was_started_a_command_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = create_app(settings(tmp_path)).test_cli_runner()
    before = sorted(tmp_path.rglob("*"))
    result = runner.invoke(args=command.split())
    assert (result.exit_code, result.stdout) == (5, "")
    assert "it is not there yet; `mlengine up` or `mlengine migrate` makes it" in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_database_is_shown_and_copied(tmp_path: Path) -> None:
    runner = create_app(settings(tmp_path), make_platform(tmp_path)).test_cli_runner()
    states = []
    for revision in (None, "0001", "9999"):
        if revision:
            with closing(sqlite3.connect(tmp_path / "artifacts" / "audit.db")) as database:
                database.execute("UPDATE alembic_version SET version_num = ?", [revision])
                database.commit()
        states.append(json.loads(runner.invoke(args=["db", "status", "--json"]).stdout)["state"])
    assert states == ["current", "older", "newer"]
    result = runner.invoke(args=["db", "backup", str(tmp_path / "copy.db")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "copy.db").exists()


def test_what_needs_no_database_works_where_no_platform_was_started(tmp_path: Path) -> None:
    bars_folder(tmp_path / "bars")
    runner = create_app(settings(tmp_path)).test_cli_runner()
    for command in ("features AAA", "features list", "bars show AAA"):
        assert runner.invoke(args=command.split()).exit_code == 0
    assert not (tmp_path / "artifacts").exists()
    assert runner.invoke(args=["db", "upgrade"]).exit_code == 0
    assert runner.invoke(args=["models", "list"]).exit_code == 0


@pytest.mark.parametrize(
    ("chosen", "level"),
    [("", logging.WARNING), ("DEBUG", logging.DEBUG)],
    ids=["unset", "set"],
)
def test_a_command_logs_warnings_only_unless_a_level_is_set(
    platform: Platform, tmp_path: Path, chosen: str, level: int
) -> None:
    app = create_app(settings(tmp_path, LOG_LEVEL=chosen), platform=platform)
    app.test_cli_runner().invoke(args=["models", "list"])
    assert logging.getLogger("mlengine").level == level


def test_a_dead_queue_is_named_with_its_setting_and_without_its_password(tmp_path: Path) -> None:
    url = "redis://ann:s3cret@127.0.0.1:1/0"
    platform = make_platform(tmp_path, REDIS_URL=url)
    app = create_app(settings(tmp_path, REDIS_URL=url), platform=platform)
    result = app.test_cli_runner().invoke(args=["train"])
    assert result.exit_code == 5
    assert result.stderr.endswith(" (REDIS_URL=redis://…@127.0.0.1:1/0)\n")


def is_group(command: click.Command) -> bool:
    return isinstance(command, click.Group)


def test_models_are_listed_shown_and_verified(runner: FlaskCliRunner) -> None:
    table = runner.invoke(args=["models", "list"]).stdout.splitlines()
    assert table[0].split()[:2] == ["version", "status"]
    assert [line.split()[:2] for line in table[1:]] == [["v1", "active"], ["v2", "available"]]
    listed = said(runner, "models", "list")
    assert isinstance(listed, dict)
    assert listed["active_version"] == "v1"
    shown = said(runner, "models", "show", "v1")
    assert isinstance(shown, dict)
    assert (shown["version"], shown["is_active"]) == ("v1", True)
    assert "policy_always" in runner.invoke(args=["models", "show", "v1"]).stdout
    assert "yes" in runner.invoke(args=["models", "verify"]).stdout


def test_two_models_are_compared(runner: FlaskCliRunner) -> None:
    table = runner.invoke(args=["models", "compare", "v1", "v2"]).stdout
    assert "trained on: 40 (dates: 40, symbols: 1), 2020-09-01 to 2020-10-10" in table
    for said_of in ("auc", "log_loss", "correlation of predictions", "p-value", "rectangular"):
        assert said_of in table
    found = said(runner, "models", "compare", "v1", "v2")
    assert isinstance(found, dict)
    assert found["common"]["rows"] == 40
    assert found["metrics"][0]["metric"] == "log_loss"
    assert found["test"]["p_value"] is not None


def test_two_models_without_common_rows_say_so_and_what_differs(
    runner: FlaskCliRunner, platform: Platform
) -> None:
    publish(
        platform.models.registry.directory,
        run_id="run3",
        spec=dataclasses.replace(
            SPEC, horizon_bars=3, symbols=tuple(f"S{n:03d}" for n in range(99))
        ),
    )
    lines = runner.invoke(args=["models", "compare", "v1", "v3"]).stdout.splitlines()
    assert lines[0].startswith("not_comparable: their labels mean different things")
    assert ["spec.horizon_bars", "5", "3"] in [line.split() for line in lines]
    assert any(line.endswith("…") for line in lines)
    late = TRAINED_THROUGH + timedelta(days=99)
    publish(platform.models.registry.directory, run_id="run4", candidate_trained_through=late)
    assert "no_common_rows" in runner.invoke(args=["models", "compare", "v1", "v4"]).stdout


def test_a_model_is_shown_with_its_verdict_and_an_interval_for_every_metric(
    runner: FlaskCliRunner,
) -> None:
    lines = runner.invoke(args=["models", "show", "v1"]).stdout.splitlines()
    table = [" ".join(line.split()) for line in lines]
    assert "verdict no_edge by auc" in table
    assert "earlier versions on this holdout 0" in table
    assert "sign rule +0.00 bp a bar after costs, buy and hold +0.00" in table
    at = table.index("metric on the holdout value low high baseline which reason")
    assert table[at + 1 :] == [
        "auc 0.5 0.45 0.55 0.5 coin_flip -",
        "rank_ic - - - 0 no_skill no date has 10 symbols",
        "calibration_slope 0.9 0.4 1.4 1 perfect -",
        "calibration_intercept - - - 0 perfect not fitted",
    ]


def test_activation_rollback_and_reload(runner: FlaskCliRunner) -> None:
    assert "v2 is active" in runner.invoke(args=["models", "activate", "v2"]).stdout
    assert "v1 is active again" in runner.invoke(args=["models", "rollback"]).stdout
    assert "v1 loaded" in runner.invoke(args=["reload"]).stdout
    again = said(runner, "models", "activate", "v2")
    assert isinstance(again, dict)
    assert again["previous_version"] == "v1"
    kinds = runner.invoke(args=["monitor", "history"]).stdout
    assert "rolled_back" in kinds
    assert "reloaded" in kinds


def test_the_history_tells_facts_and_leaves_out_what_is_null(
    runner: FlaskCliRunner, platform: Platform
) -> None:
    platform.monitoring.events.append(
        "train_skipped",
        at=datetime(2024, 1, 1, tzinfo=UTC),
        version="v9",
        actor="me",
        details={
            "promoted": False,
            "p_value": None,
            "losses": {"champion": 0.25, "constant": None},
            "fingerprint": "0123456789abcdef" * 4,
        },
    )
    lines = runner.invoke(
        args=["monitor", "history", "--kind", "train_skipped"]
    ).stdout.splitlines()
    told = "promoted=no, losses.champion=0.25, fingerprint=0123456789ab"
    assert lines[1].split("me", 1)[1].strip() == told


def test_a_kind_of_event_that_there_is_not_is_refused(runner: FlaskCliRunner) -> None:
    refused = runner.invoke(args=["monitor", "history", "--kind", "nope"])
    assert refused.exit_code == 2
    assert "'rolled_back'" in refused.stderr


def test_the_history_is_filtered_and_paged(runner: FlaskCliRunner, platform: Platform) -> None:
    for day in (1, 2, 3):
        at = datetime(2024, 1, day, tzinfo=UTC)
        platform.monitoring.events.append("reloaded", at=at, version="v1", actor="bob", details={})
    wanted = ["monitor", "history", "--actor", "bob", "--since", "2024-01-02", "--limit", "1"]
    first = said(runner, *wanted)
    assert isinstance(first, dict)
    assert [event["at"] for event in first["rows"]] == ["2024-01-03T00:00:00Z"]
    second = said(runner, *wanted, "--cursor", first["next_cursor"])
    assert isinstance(second, dict)
    assert [event["at"] for event in second["rows"]] == ["2024-01-02T00:00:00Z"]
    assert second["next_cursor"] is None
    before = said(runner, "monitor", "history", "--actor", "bob", "--until", "2024-01-02")
    assert isinstance(before, dict)
    assert len(before["rows"]) == 1


def test_models_of_one_recipe_say_so(runner: FlaskCliRunner) -> None:
    table = runner.invoke(args=["models", "compare", "v1", "v1"]).stdout
    assert table.endswith("\ntheir recipes are the same\n")


def test_too_few_bars_for_drift_are_one_line(runner: FlaskCliRunner) -> None:
    assert len(runner.invoke(args=["monitor", "drift"]).stdout.splitlines()) == 1


def test_the_window_of_latencies_is_bounded_as_over_http(runner: FlaskCliRunner) -> None:
    thirty_days = ["monitor", "latency", "--window", "2592000"]
    assert runner.invoke(args=thirty_days).exit_code == 0
    assert runner.invoke(args=[*thirty_days[:-1], "2592001"]).exit_code == 2


def test_a_prediction_says_whether_it_is_usable(runner: FlaskCliRunner, tmp_path: Path) -> None:
    head, row = runner.invoke(args=["predict", "AAA"]).stdout.splitlines()
    assert head.endswith("usable")
    assert "probability up" in head
    assert "expected" not in head
    assert row.endswith("yes")
    strict = make_platform(tmp_path / "strict", MAX_BAR_AGE_BARS="1")
    app = create_app(settings(tmp_path / "strict"), platform=strict)
    told = app.test_cli_runner().invoke(args=["predict", "AAA"]).stdout
    assert told.splitlines()[1].endswith("no: bar_too_old")


def test_a_damaged_version_fails_the_check(runner: FlaskCliRunner, platform: Platform) -> None:
    (platform.models.registry.directory / "v2" / "model.txt").write_bytes(b"x")
    result = runner.invoke(args=["models", "verify"])
    assert result.exit_code == 1
    assert "model.txt differs from its digest" in result.stdout
    assert "-" in runner.invoke(args=["models", "verify", "v1"]).stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["models", "show", "v9"], 3),
        (["models", "activate", "../v1"], 3),
        (["models", "compare", "v1", "v9"], 3),
        (["models", "compare", "../v1", "v1"], 3),
        (["predict", "NONE"], 3),
        (["features", "AAA", "--as-of", "1999-01-01"], 1),
        (["features", "AAA", "--as-of", "2999-01-01"], 2),
        (["features", "AAA", "--as-of", "2020-01-01T00:00:00"], 2),
        (["train"], 5),
        (["nonsense"], 2),
    ],
)
def test_exit_codes_that_a_script_can_use(
    runner: FlaskCliRunner, arguments: list[str], code: int
) -> None:
    result = runner.invoke(args=arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit), "one line, never a traceback"


def test_an_explanation_adds_up_to_the_score_that_makes_the_probability(
    runner: FlaskCliRunner,
) -> None:
    told = runner.invoke(args=["predict", "AAA", "--explain"]).stdout.splitlines()
    answer = said(runner, "predict", "AAA")
    assert isinstance(answer, dict)
    assert told[2].endswith("  base value")
    *parts, total = [
        float(line.lstrip(" =").split(maxsplit=1)[0].rstrip(",;")) for line in told[2:]
    ]
    assert sum(parts) == pytest.approx(total, abs=1e-5)
    assert 1 / (1 + math.exp(-total)) == pytest.approx(answer["probability_up"], abs=1e-6)
    assert 0.0 not in parts[1:]
    assert told[-1].endswith("other features add nothing")


def test_predictions_stand_in_the_audit(runner: FlaskCliRunner) -> None:
    assert "probability up" in runner.invoke(args=["predict", "AAA", "--explain"]).stdout
    answer = said(runner, "predict", "AAA", "--as-of", "2020-12-01")
    assert isinstance(answer, dict)
    assert answer["bar_timestamp"] == "2020-12-01T00:00:00Z"
    assert "AAA" in runner.invoke(args=["audit", "tail"]).stdout
    tail = said(runner, "audit", "tail", "--limit", "1")
    assert isinstance(tail, dict)
    assert tail["rows"][0]["prediction_id"] == answer["prediction_id"]
    assert runner.invoke(args=["audit", "clear"], input="n\n").exit_code == 1
    assert "2 predictions deleted" in runner.invoke(args=["audit", "clear", "--yes"]).stdout


def test_features_and_bars(runner: FlaskCliRunner) -> None:
    assert "feature" in runner.invoke(args=["features", "AAA", "--limit", "2"]).stdout
    rows = said(runner, "features", "AAA", "--limit", "3")
    assert isinstance(rows, list)
    assert len(rows) == 3
    assert "400" in runner.invoke(args=["bars", "fetch", "AAA"]).stdout
    stored = said(runner, "bars", "show", "AAA", "--stored", "--limit", "5")
    assert stored == said(runner, "bars", "show", "AAA", "--limit", "5")
    assert "volume" in runner.invoke(args=["bars", "show", "BBB"]).stdout
    report = said(runner, "bars", "fetch", "BBB")
    assert isinstance(report, dict)
    assert report["BBB"]["accepted"] == 400


def test_bars_are_checked_before_anybody_trains(runner: FlaskCliRunner, tmp_path: Path) -> None:
    assert runner.invoke(args=["bars", "check"]).exit_code == 0
    folder = tmp_path / "given"
    folder.mkdir()
    good = random_bars("GOOD", rows=400, start=datetime(2023, 1, 2, tzinfo=UTC)).drop("symbol")
    good.write_csv(folder / "GOOD.csv")
    bad = good.with_columns(close=pl.when(pl.int_range(400) > 350).then(0).otherwise("close"))
    bad.write_csv(folder / "BAD.csv")
    (folder / "NONE.csv").write_text("date,open\n2024-01-02,1\n")
    result = runner.invoke(args=["bars", "check", "--data", str(folder)])
    assert result.exit_code == 1
    words = [line.split()[:2] for line in result.stdout.splitlines()]
    assert ["GOOD", "ok"] in words
    assert ["BAD", "suspect"] in words
    assert "not_positive 49" in result.stdout
    assert "NONE.csv: " in result.stdout
    one = runner.invoke(args=["bars", "check", "GOOD", "NOBODY", "--data", str(folder), "--json"])
    document = json.loads(one.stdout)
    assert [each["status"] for each in document["symbols"]] == ["ok", "refused"]
    assert one.exit_code == 1


def test_a_check_says_what_is_late_and_which_symbols_have_no_volume(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    bars = random_bars("DEAD", rows=400, start=datetime(2023, 1, 2, tzinfo=UTC)).drop("symbol")
    bars.write_csv(folder / "DEAD.csv")
    bars.with_columns(volume=0.0).write_csv(folder / "FX.csv")
    (folder / "symbols.csv").write_text("symbol,currency,to\nFX,JPY,2024-01-31\n")
    text = runner.invoke(args=["bars", "check", "--data", str(folder)]).stdout
    names, *rows = (re.split(r"  +", line.strip()) for line in text.splitlines()[:3])
    dead, fx = (dict(zip(names, row, strict=True)) for row in rows)
    assert (dead["no volume"], fx["no volume"], fx["late"]) == ("0.0%", "100.0%", "0")
    assert int(dead["late"]) > 300
    assert f"DEAD: {dead['late']} bars that were expected since {dead['last']} are not" in text
    assert "FX: " not in text


def test_a_folder_is_checked_with_its_own_files_of_symbols_and_settings(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    bars = random_bars("TSE", rows=40, start=datetime(2024, 1, 4, tzinfo=UTC)).drop("symbol")
    bars.rename({"close": "last"}).write_csv(folder / "TSE.csv")
    (folder / "bars.toml").write_text('[columns]\nclose = "last"\n')
    (folder / "symbols.csv").write_text("symbol,calendar,currency\nTSE,XTKS,JPY\n")
    (document,) = json.loads(
        runner.invoke(args=["bars", "check", "--data", str(folder), "--json"]).stdout
    )["symbols"]
    assert (document["calendar"], document["currency"]) == ("XTKS", "JPY")
    assert not document["calendar_is_inferred"]
    (folder / "symbols.csv").write_text("symbol,calendar\nTSE,XXXX\n")
    refused = runner.invoke(args=["bars", "check", "--data", str(folder)])
    assert refused.exit_code == 1
    assert "symbols.csv, line 2, column 'calendar': 'XXXX'" in refused.stderr


@pytest.mark.parametrize(
    ("what", "shows"),
    [
        ("drift", "insufficient_data"),
        ("outcomes", "due 0: scored 0"),
        ("update", "performance"),
        ("freshness", "AAA"),
        ("latency", "error rate"),
        ("history", "v1"),
    ],
)
def test_monitoring_for_the_terminal(runner: FlaskCliRunner, what: str, shows: str) -> None:
    assert runner.invoke(args=["predict", "AAA"]).exit_code == 0
    assert shows in runner.invoke(args=["monitor", what]).stdout
    assert said(runner, "monitor", what)


def test_without_a_model_freshness_says_so(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), platform=make_platform(tmp_path, models=0))
    assert "no model" in app.test_cli_runner().invoke(args=["monitor", "freshness"]).stdout


@pytest.mark.parametrize(
    "arguments",
    [["reload"], ["db", "upgrade"], ["audit", "clear", "--yes"], ["models", "rollback"]],
)
def test_every_command_speaks_json(runner: FlaskCliRunner, arguments: list[str]) -> None:
    runner.invoke(args=["models", "activate", "v2"])
    assert said(runner, *arguments)


def test_a_symbol_that_fails_keeps_no_other_back(runner: FlaskCliRunner) -> None:
    table = runner.invoke(args=["bars", "fetch", "NONE", "AAA"])
    assert table.exit_code == 3
    assert "unknown_symbol" in table.stdout
    result = runner.invoke(args=["bars", "fetch", "NONE", "AAA", "--json"])
    assert json.loads(result.stdout)["AAA"]["accepted"] == 400
    assert result.exit_code == 3


def test_the_database_is_upgraded(runner: FlaskCliRunner) -> None:
    assert "newest schema" in runner.invoke(args=["db", "upgrade"]).stdout


def test_a_training_is_enqueued_once(tmp_path: Path) -> None:
    with QueueProcess() as queue:
        platform = make_platform(tmp_path, models=0, REDIS_URL=queue.url)
        runner = create_app(settings(tmp_path), platform=platform).test_cli_runner()
        assert "is queued" in runner.invoke(args=["train"]).stdout
        busy = runner.invoke(args=["train"])
        assert busy.exit_code == 4
        assert "training_in_progress" in busy.stderr


def test_the_first_training_is_not_asked_for_where_a_model_is_active(
    runner: FlaskCliRunner,
) -> None:
    result = runner.invoke(args=["train", "--first", "--wait"])
    assert (result.exit_code, result.stdout) == (0, "a model is active already\n")
