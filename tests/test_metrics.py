"""The totals of `/metrics` over real web workers, of which one is killed, and after a restart."""

from __future__ import annotations

import itertools
import os
import signal
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.patience import eventually
from tests.platforms import SYMBOLS, make_platform
from tests.serving import Asker, Server, load, serving

READY = "/predict?symbol=AAA"
PATHS = [f"{prefix}/predict?symbol={symbol}" for symbol in SYMBOLS for prefix in ("", "/api/v1")]


def scrape(server: Server) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels, in the order of their names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


REQUESTS = ("mlengine_http_requests_total", "GET", "/predict", "200")
PREDICTIONS = ("mlengine_predictions_total", "main", "ok", "v1")
DURATION = ("mlengine_http_request_duration_seconds_count", "GET", "/predict")


def ask_many(server: Server, count: int) -> None:
    """`count` predictions by four connections, each answered with 200."""
    askers = [Asker(server.port) for _ in range(4)]
    for number in range(count):
        answer = askers[number % 4].ask(PATHS[number % len(PATHS)])
        assert answer.status == 200
    for asker in askers:
        asker.close()


def totals(server: Server) -> tuple[float, float, float]:
    found = scrape(server)
    return found[REQUESTS], found[PREDICTIONS], found[DURATION]


def kill_one(server: Server) -> None:
    """Kill a web worker, and wait for the one that takes its place."""
    before = set(server.workers())
    os.kill(min(before), signal.SIGKILL)
    assert eventually(lambda: len(set(server.workers()) - before) == 1)
    assert eventually(lambda: server.ask("/livez").status == 200)


def count_all(folder: Path, requests: int) -> None:
    with serving(folder, ready=READY) as server:
        asked = totals(server)[0]  # those that found out whether it serves
        ask_many(server, requests)
        asked += requests
        assert totals(server) == (asked, asked, asked)
        kill_one(server)
        assert totals(server) == (asked, asked, asked)
        ask_many(server, requests)
        asked += requests
        assert totals(server) == (asked, asked, asked)
    with serving(folder, ready=READY, WEB_WORKERS="1") as server:
        asked_again = totals(server)[0] - asked
        assert 1 <= asked_again <= 100
        asked += asked_again
        ask_many(server, requests)
        asked += requests
        assert totals(server) == (asked, asked, asked)


def test_the_totals_outlive_a_killed_worker_and_a_restart(tmp_path: Path) -> None:
    make_platform(tmp_path)
    count_all(tmp_path, 150)


@pytest.mark.soak
def test_the_totals_of_a_hundred_thousand_requests(tmp_path: Path) -> None:
    make_platform(tmp_path)
    count_all(tmp_path, 34_000)


@pytest.mark.soak
def test_no_scrape_under_load_sees_a_counter_fall(tmp_path: Path) -> None:
    make_platform(tmp_path)
    with serving(tmp_path, ready=READY) as server, load(server.port, PATHS, askers=3) as traffic:
        seen = [scrape(server)]
        kill_one(server)
        seen += [scrape(server) for _ in range(10)]
        traffic.over.set()
    for before, after in itertools.pairwise(seen):
        fallen = {
            key for key, value in before.items() if key[0].endswith("_total") and after[key] < value
        }
        assert not fallen
