from __future__ import annotations

import logging
import math
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient
from tests.named_keys import add_key
from tests.platforms import make_platform
from tests.queue_process import QueueProcess
from tests.serving import serving
from tests.web.conftest import KEY, MakeApp
from tests.web.http.test_errors import problem

from mlengine.services.keys.authentication import Authentication
from mlengine.stores.keys.key_file import KeyFile
from mlengine.stores.keys.key_ring import KeyRing

WRONG = {"X-API-Key": "guessed"}


@pytest.fixture(autouse=True)
def _middle_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that counts by itself has windows by the clock; none of them ends in a test.

    Over an edge one more may pass.
    """
    shift = 30.0 - time.time() % 60.0
    clock = SimpleNamespace(time=lambda: time.time() + shift)
    monkeypatch.setattr("limits.storage.memory.time", clock)


def ask(client: FlaskClient, headers: dict[str, str], address: str = "10.0.0.1") -> int:
    return client.post(
        "/admin/rollback", headers=headers, environ_overrides={"REMOTE_ADDR": address}
    ).status_code


def test_an_address_may_be_wrong_ten_times_a_minute(make_app: MakeApp) -> None:
    client = make_app().test_client()
    assert [ask(client, WRONG) for _ in range(12)] == [401] * 10 + [429] * 2
    answer = client.post(
        "/api/v1/admin/reload", headers=WRONG, environ_overrides={"REMOTE_ADDR": "10.0.0.1"}
    )
    problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert ask(client, WRONG, "10.0.0.2") == 401, "another address"


def test_a_right_guess_is_refused_once_the_guesses_are_used_up(make_app: MakeApp) -> None:
    client = make_app(FAILED_KEYS_PER_MINUTE="3").test_client()
    assert [ask(client, WRONG) for _ in range(3)] == [401] * 3
    assert ask(client, KEY) == 429
    assert ask(client, KEY, "10.0.0.2") == 404, "which lets nobody pass whose address guessed"


def test_who_came_in_before_still_does_when_others_at_the_address_guess(make_app: MakeApp) -> None:
    client = make_app(FAILED_KEYS_PER_MINUTE="3").test_client()
    assert ask(client, KEY) == 404
    assert [ask(client, WRONG) for _ in range(5)] == [401] * 3 + [429] * 2
    assert ask(client, KEY) == 404


def test_neither_success_nor_a_missing_key_nor_a_missing_scope_counts(
    make_app: MakeApp, tmp_path: Path
) -> None:
    reader = {"X-API-Key": add_key(tmp_path / "keys.json", "ann", "read")}
    client = make_app(
        FAILED_KEYS_PER_MINUTE="1", API_KEYS_FILE=str(tmp_path / "keys.json")
    ).test_client()
    assert [ask(client, each) for each in (KEY, {}, reader) * 5] == [404, 401, 403] * 5
    assert ask(client, WRONG) == 401
    assert ask(client, WRONG) == 429


def test_no_limit_at_zero(make_app: MakeApp) -> None:
    client = make_app(FAILED_KEYS_PER_MINUTE="0").test_client()
    assert {ask(client, WRONG) for _ in range(30)} == {401}


def test_all_workers_share_the_budget(make_app: MakeApp) -> None:
    with QueueProcess() as queue:
        clients = [make_app(REDIS_URL=queue.url).test_client() for _ in range(2)]
        answers = [ask(client, WRONG) for _ in range(8) for client in clients]
        assert answers == [401] * 10 + [429] * 6
        queue.stop()
        alone = [ask(client, WRONG) for _ in range(12) for client in clients]
    assert alone == [401] * 20 + [429] * 4, "each counts for itself while the server is silent"


def test_the_log_has_the_failure_and_no_key(
    make_app: MakeApp,
    log_lines: Callable[[], list[dict[str, object]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = make_app().test_client()
    log_lines()
    ask(client, WRONG)
    ask(client, KEY)
    lines = log_lines()
    (refused,) = (line for line in lines if line["event"] == "key refused")
    assert (refused["address"], refused["level"]) == ("10.0.0.1", logging.getLevelName(30))
    for key in (WRONG["X-API-Key"], KEY["X-API-Key"]):
        assert not any(key in str(line) for line in lines)
        assert key not in caplog.text


def seconds_of(call: Callable[[], object]) -> float:
    started = time.thread_time()
    call()
    return time.thread_time() - started


def timings(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """CPU seconds to refuse a wrong secret of a name that is there, and a name that is not."""
    right = add_key(folder / "keys.json", "ann", "read")
    ring = KeyRing(KeyFile(folder / "keys.json"))
    known, unknown = right[:-1] + "x", right.replace("ann", "bob")
    times: dict[str, list[float]] = {known: [], unknown: []}
    for number in range(2 * rounds):
        presented = (known, unknown)[(number + number // 2) % 2]
        times[presented].append(seconds_of(lambda key=presented: ring.find(key)))  # type: ignore[misc]
    return times[known], times[unknown]


def difference_in_errors(known: list[float], unknown: list[float]) -> float:
    """The difference of the medians, in standard errors of a median, by the quartiles."""
    errors = []
    for times in (known, unknown):
        low, _, high = statistics.quantiles(times, n=4)
        errors.append(1.2533 * (high - low) / 1.349 / len(times) ** 0.5)
    return (statistics.median(known) - statistics.median(unknown)) / (
        errors[0] ** 2 + errors[1] ** 2
    ) ** 0.5


def test_an_unknown_name_takes_as_long_as_a_wrong_secret(tmp_path: Path) -> None:
    known, unknown = timings(tmp_path, 20)
    assert 0.8 < statistics.median(known) / statistics.median(unknown) < 1.25


@pytest.mark.soak
def test_thousands_of_refusals_differ_by_noise_alone(tmp_path: Path) -> None:
    known, unknown = timings(tmp_path, 1000)
    errors = difference_in_errors(known, unknown)
    medians = statistics.median(known), statistics.median(unknown)
    known_ms, unknown_ms = (1000 * median for median in medians)
    sys.stdout.write(
        f"known {known_ms:.4f} ms, unknown {unknown_ms:.4f} ms, {errors:+.2f} errors\n"
    )
    assert abs(errors) < 4


@pytest.mark.soak
def test_ten_thousand_guesses_are_limited_and_stand_in_no_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.json"
    right = add_key(keys, "ann", "activate")
    make_platform(tmp_path)
    environ = {"ADMIN_API_KEY": KEY["X-API-Key"], "API_KEYS_FILE": str(keys), "LOG_LEVEL": "DEBUG"}
    with (
        QueueProcess() as queue,
        serving(tmp_path, ready="/health", REDIS_URL=queue.url, **environ) as server,
        closing(HTTPConnection("127.0.0.1", server.port)) as connection,
    ):
        begun = time.monotonic()
        statuses: dict[int, int] = {}
        for number in range(10_000):
            prefix = ("", "/api/v1")[number % 2]
            guess = f"{right[:-5]}{number:05}" if number != 7_000 else right
            connection.request("POST", f"{prefix}/admin/rollback", headers={"X-API-Key": guess})
            with connection.getresponse() as answer:
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
                assert guess not in answer.read().decode() + str(answer.headers)
        minutes = (time.monotonic() - begun) / 60
    log = "".join(capfd.readouterr())
    sys.stdout.write(f"10,000 guesses in {minutes:.2f} minutes: {statuses}\n")
    assert {*statuses} == {401, 429}
    windows = math.ceil(minutes) + 1  # of a minute each, of which it began and ended within one
    assert statuses[401] <= 11 * windows
    assert log.count("key refused") == statuses[401]
    assert right[:-5] not in log


def test_an_admin_key_is_compared_and_never_hashed(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.json", "ann", "read")
    keys = Authentication({"admin": "secret"}, KeyRing(KeyFile(tmp_path / "keys.json")))
    assert keys.has_keys
    assert keys.ring.find("secret") is None
