from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from io import StringIO

import pytest

from mlengine import logs

HOSTILE = 'a\nb\r\n{"event": "forged"}\x00\x1b[31m\x7f\x85\u2028\u2029\u202e é 😀'


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("mlengine")
    before, levels = list(root.handlers), (root.level, own.level)
    yield
    root.handlers[:] = before
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture(params=[True, False], ids=["json", "plain"])
def as_json(request: pytest.FixtureRequest) -> bool:
    logs.configure("INFO", json=request.param)
    return bool(request.param)


def line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.endswith("\n")
    (only,) = text.splitlines()
    return only


def test_hostile_text_anywhere_stays_on_one_line(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    logging.getLogger("a\nb").warning(
        "said %s", HOSTILE, extra={"path": HOSTILE, "x\ny": [HOSTILE], "more": {HOSTILE: HOSTILE}}
    )
    output = line(capsys)
    if as_json:
        assert output.isascii()
        assert json.loads(output)["path"] == HOSTILE
    else:
        assert output.isprintable()


def test_half_a_character_can_still_be_written(as_json: bool) -> None:
    # Formatted by hand: a report of pytest's could not carry it.
    (ours,) = [h for h in logging.getLogger().handlers if not _is_pytests(h)]
    logged = ours.format(logging.makeLogRecord({"msg": "\ud800", "name": "x"}))
    assert logged.encode()
    assert "\ud800" not in logged
    assert as_json == logged.startswith("{")


def _is_pytests(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest")


def test_a_traceback_stays_on_one_line(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    try:
        int(HOSTILE)
    except ValueError:
        logging.getLogger("x").exception("it broke")
    assert "Traceback" in line(capsys)


def test_plain_lines_read_well_and_can_not_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", json=False)
    logging.getLogger("x").info(
        "request",
        extra={"path": "/a status=200", "status": 404, "code": None, "word": "é", "rate": 0.5},
    )
    logged = line(capsys)
    assert logged.endswith('INFO    x request path="/a status=200" status=404 word=é rate=0.5')


def test_fields_are_json_types(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", json=True)
    extra = {
        "nan": float("nan"),
        "inf": [float("inf"), 1.5],
        "at": datetime(2024, 5, 31, tzinfo=UTC),
        "names": ("a", "b"),
        "kind": ValueError("x"),
    }
    logging.getLogger("x").info("seen", extra=extra)
    logged = json.loads(line(capsys))
    assert {name: logged[name] for name in extra} == {
        "nan": None,
        "inf": [None, 1.5],
        "at": "2024-05-31T00:00:00Z",
        "names": ["a", "b"],
        "kind": "x",
    }
    assert (logged["event"], logged["level"], logged["logger"]) == ("seen", "INFO", "x")
    assert logged["ts"].endswith("Z")


def test_ids_ride_along_and_get_off(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", json=True)
    log = logging.getLogger("x")
    with logs.bound_ids(request="r1"), logs.bound_ids(job="j1", version="v2"):
        log.info("inside")
    log.info("outside")
    inside, outside = map(json.loads, capsys.readouterr().err.splitlines())
    assert (inside["request_id"], inside["job_id"], inside["model_version"]) == ("r1", "j1", "v2")
    assert not {"request_id", "job_id", "model_version"} & set(outside)


def test_another_context_has_its_own_ids(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", json=True)
    copy_context().run(logs.request_id.set, "elsewhere")
    logging.getLogger("x").info("here")
    assert "request_id" not in json.loads(line(capsys))


@contextmanager
def alone() -> Iterator[None]:
    """Without the handlers of pytest, as in a process of the platform."""
    root = logging.getLogger()
    before, root.handlers[:] = list(root.handlers), [h for h in root.handlers if not _is_pytests(h)]
    try:
        yield
    finally:
        root.handlers[:] = before


def test_lines_told_at_once_are_those_of_records(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    log = logging.getLogger("mlengine.x")
    many = [{"path": HOSTILE, "status": 200, "code": None}, {"half": "\ud800", "ms": 0.25}, {}]
    with alone(), logs.bound_ids(request="r1", version="v2"):
        logs.log_many(log, "request", many)
        for facts in many:
            log.info("request", extra=facts)
    moment = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
    lines = capsys.readouterr().err.splitlines()
    assert all(moment.search(each) for each in lines)
    batched, single = lines[:3], lines[3:]
    assert [moment.sub("", each) for each in batched] == [moment.sub("", each) for each in single]
    assert all(each.isascii() for each in batched) or not as_json


def test_lines_told_at_once_reach_every_handler_and_filter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("INFO", json=True)
    log = logging.getLogger("mlengine.x")
    with alone(), logs.log_tail() as tail:
        logs.log_many(log, "request", [{"status": 200}])
        assert json.loads(tail()[0])["status"] == 200
    log.addFilter(lambda record: "secret" not in vars(record))
    try:
        with alone():
            logs.log_many(log, "request", [{"secret": 1}, {"status": 201}])
    finally:
        log.filters.clear()
    logged = [json.loads(each)["status"] for each in capsys.readouterr().err.splitlines()]
    assert logged == [200, 201]


def test_lines_told_at_once_are_as_quiet_as_records(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("WARNING", json=True)
    with alone():
        logs.log_many(logging.getLogger("x"), "request", [{"status": 200}])
    assert capsys.readouterr().err == ""
    logs.configure("INFO", json=True)
    monkeypatch.setattr(sys, "stderr", closed := StringIO())
    closed.close()
    with alone():
        logs.log_many(logging.getLogger("x"), "nobody can read this", [{"status": 200}])


def test_a_librarys_wrong_arguments_do_not_cost_the_line() -> None:
    record = logging.makeLogRecord({"msg": "only %s and %s", "args": ("one",)})
    assert json.loads(logs.LineFormatter(json=True).format(record))["event"] == "only %s and %s"


def test_a_second_call_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", json=True)
    logs.configure("WARNING", json=False)
    logging.getLogger("x").info("too quiet")
    logging.getLogger("x").warning("loud")
    assert line(capsys).endswith("WARNING x loud")


def test_the_stream_is_the_one_of_the_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("INFO", json=True)
    with capsys.disabled():
        quiet = open("/dev/null", "w")  # noqa: SIM115
        monkeypatch.setattr(sys, "stderr", quiet)
        logging.getLogger("x").info("elsewhere")
        monkeypatch.undo()
        quiet.close()
    logging.getLogger("x").info("here")
    assert "elsewhere" not in line(capsys)


def test_chatty_libraries_speak_up_only_when_it_matters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("DEBUG", json=True)
    logging.getLogger("flask-limiter").info("ratelimit exceeded")
    logging.getLogger("flask-limiter").warning("storage unreachable")
    assert json.loads(line(capsys))["event"] == "storage unreachable"


def test_debug_is_of_the_platforms_own_loggers_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG", json=True)
    logging.getLogger("mlengine.somewhere").debug("own detail")
    logging.getLogger("somebody").debug("a library's detail")
    logging.getLogger("somebody").info("a library's news")
    written = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert written == ["own detail", "a library's news"]


@pytest.mark.parametrize(("level", "written"), [("INFO", 0), ("DEBUG", 1)])
def test_a_tail_takes_nothing_from_standard_error_and_holds_no_debug_lines(
    capsys: pytest.CaptureFixture[str], level: str, written: int
) -> None:
    logs.configure(level, json=True)
    with logs.log_tail() as tail:
        logging.getLogger("mlengine.somewhere").debug("own detail")
        assert tail() == []
    assert len(capsys.readouterr().err.splitlines()) == written


def test_the_tail_keeps_the_newest_lines_from_info_on_whatever_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("ERROR", json=True)
    ours = logging.getLogger("mlengine.somewhere")
    with logs.log_tail(2) as tail:
        for number in range(3):
            ours.info("stage", extra={"number": number})
        ours.error("broken", exc_info=ValueError("secret"))
        first, last = (json.loads(line) for line in tail())
    ours.info("not any more")
    assert (first["event"], first["number"], last["event"]) == ("stage", 2, "broken")
    assert "traceback" not in last
    assert len(tail()) == 2
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["broken"]


@pytest.mark.parametrize(("lifecycle_level", "count"), [("INFO", 1), (None, 0)])
def test_starts_and_stops_have_a_level_of_their_own(
    capsys: pytest.CaptureFixture[str], lifecycle_level: str | None, count: int
) -> None:
    logs.configure("WARNING", json=True, lifecycle_level=lifecycle_level)
    logs.lifecycle.info("part started", extra={"pid": 7})
    logging.getLogger("mlengine.web").info("request")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["pid"]) for line in lines] == [("part started", 7)] * count
