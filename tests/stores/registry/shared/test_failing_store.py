"""A store that fails at the n-th call of a change: nothing torn, and no error that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from tests.s3_faults import Faults, faulty_proxy
from tests.s3_server import s3_server
from tests.stores.registry.test_registry import NOW, put

from mlengine.core.versions.pruning import Pin
from mlengine.errors import RegistryUnavailable
from mlengine.stores.registry.shared.bucket import Bucket
from mlengine.stores.registry.shared.registry import SharedRegistry

# More calls than any change makes.
_MOST_CALLS = 40
_GONE = 10_000


@dataclass(frozen=True)
class Store:
    """One bucket, and hosts that reach it through a proxy."""

    faults: Faults
    new_prefix: Callable[[], str]
    folder: Path

    def hosts(self) -> Callable[[str], SharedRegistry]:
        """Hosts by name, with folders of their own and one registry that is empty."""
        url = self.new_prefix()
        folder = self.folder / url.rpartition("/")[2]
        return lambda name: SharedRegistry(folder / name / "models" / "main", Bucket(url))


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[dict[str, str], Callable[[], str], Faults]]:
    with s3_server() as server, faulty_proxy(server.port) as (port, faults):
        environ = {**server.environ, "AWS_ENDPOINT": f"http://127.0.0.1:{port}"}
        yield environ, server.new_prefix, faults


@pytest.fixture
def store(
    started: tuple[dict[str, str], Callable[[], str], Faults],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Store:
    environ, new_prefix, faults = started
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    faults.arm()
    return Store(faults, new_prefix, tmp_path)


def publish(registry: SharedRegistry) -> None:
    put(registry, "second")


def activate(registry: SharedRegistry) -> None:
    registry.activate("v1", actor="me", reason="", now=NOW)


def pin(registry: SharedRegistry) -> None:
    registry.pin("v1", Pin(reason="", actor="me", at=NOW))


Change = Callable[[SharedRegistry], None]


@pytest.mark.parametrize("change", [publish, activate, pin])
@pytest.mark.parametrize("number", [1, 3])
def test_a_call_whose_answer_is_lost_costs_nothing(
    store: Store, change: Change, number: int
) -> None:
    """The change is made once, or it says that it was not."""
    assert _fails_at(store, change, "lost", number, 1) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("change", [publish, activate, pin])
@pytest.mark.parametrize(
    ("kind", "count"),
    [*product(["busy", "refused", "lost"], [1, 2, _GONE]), ("slow", 1), ("slow", 2)],
)
def test_nothing_is_torn_at_whichever_call_it_fails(
    store: Store, change: Change, kind: str, count: int
) -> None:
    number = 0
    while _fails_at(store, change, kind, number, count) > number:
        number += 1
    assert 3 <= number < _MOST_CALLS


def _fails_at(store: Store, change: Change, kind: str, number: int, count: int) -> int:
    """How many calls the change made, of which `count` fail from `number` on."""
    hosts, faults = store.hosts(), store.faults
    one = hosts("one")
    assert put(one) == "v1"
    one.activate("v1", actor="me", reason="", now=NOW)
    faults.arm(kind, first=number, count=count)
    try:
        change(one)
        is_made = True
    except RegistryUnavailable:
        is_made = False
        assert one.load("v1", "model.txt")[1] == b"tree\n"
    calls = faults.calls
    faults.arm()
    assert is_made or kind != "slow"
    _is_whole(hosts("two"), change, is_made=is_made, may_leave_files=count > 1)
    assert put(one, "third") == f"v{len(one.mirror.published())}"
    return calls


def _is_whole(
    registry: SharedRegistry, change: Change, *, is_made: bool, may_leave_files: bool
) -> None:
    """What another host finds: all of each version, and what was said to be done exactly once."""
    registry.refresh()
    versions = registry.versions()
    assert versions == [f"v{n}" for n in range(1, len(versions) + 1)]
    runs = [registry.verify(version).run_id for version in versions]
    assert len(set(runs)) == len(runs)
    active = registry.active.read()
    assert active is not None
    if change is publish:
        assert ("second" in runs) >= is_made
    elif change is activate:
        assert active.generation in ((2,) if is_made else (1, 2))
    else:
        assert ("v1" in registry.pins.read()) >= is_made
    written = {key.partition("/")[0] for key in registry.bucket.keys("runs/")}
    assert may_leave_files or written == set(runs)
