"""Hosts with folders of their own and one bucket on a real S3 server."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.platforms import settings
from tests.published import draft, tiny_files
from tests.s3_server import S3Server, s3_server
from tests.stores.registry.test_registry import FILES, NOW, put

from mlengine.bootstrap.control import build_control
from mlengine.bootstrap.platform import build_platform
from mlengine.bootstrap.registry import open_registry
from mlengine.core.versions.pruning import Pin
from mlengine.errors import (
    ArtifactCorrupt,
    ArtifactsUnavailable,
    CannotStart,
    LeaseLost,
    ModelNotFound,
    RegistryUnavailable,
)
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.shared.bucket import Bucket
from mlengine.stores.registry.shared.poll import RegistryPoll
from mlengine.stores.registry.shared.registry import SharedRegistry
from mlengine.stores.system.dependency_states import DependencyStates

Host = Callable[[str], SharedRegistry]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def url(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return server.new_prefix()


@pytest.fixture
def host(url: str, tmp_path: Path) -> Host:
    """A host by name, with a folder of its own."""
    return lambda name: SharedRegistry(tmp_path / name / "models" / "main", Bucket(url))


def activate(registry: SharedRegistry, version: str) -> int:
    return registry.activate(version, actor="me", reason="", now=NOW).generation


def test_what_one_host_publishes_and_activates_the_others_serve(host: Host) -> None:
    one, two = host("one"), host("two")
    assert put(one) == "v1"
    assert activate(one, "v1") == 1
    two.refresh()
    assert two.versions() == ["v1"]
    active = two.active.read()
    assert active is not None
    assert (active.version, active.generation) == ("v1", 1)
    assert two.active.path.read_bytes() == one.active.path.read_bytes()
    assert not (two.directory / "v1" / "model.txt").exists()
    assert two.load("v1", "model.txt")[1] == b"tree\n"
    assert put(two) == "v2"
    assert activate(two, "v2") == 2
    one.refresh(active_only=True)
    assert one.versions() == ["v1", "v2"]
    assert one.active.read() == two.active.read()


def test_a_file_that_the_mirror_has_damaged_is_brought_again(host: Host) -> None:
    one = host("one")
    put(one)
    path = one.directory / "v1" / "model.txt"
    path.write_bytes(b"other")
    assert one.read("v1", "model.txt") == b"tree\n"
    assert path.read_bytes() == b"tree\n"


def test_hosts_that_publish_and_activate_at_once_agree(host: Host) -> None:
    hosts = [host(name) for name in ("one", "two", "three")]

    def work(number: int) -> tuple[str, int]:
        registry = host(("one", "two", "three")[number % 3])
        version = put(registry, f"run{number}")
        return version, activate(registry, version)

    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(work, range(18)))
    assert sorted(int(version[1:]) for version, _ in done) == list(range(1, 19))
    assert sorted(generation for _, generation in done) == list(range(1, 19))
    for each in hosts:
        each.refresh()
    assert len({each.active.path.read_bytes() for each in hosts}) == 1
    assert [each.versions() for each in hosts] == [[f"v{n}" for n in range(1, 19)]] * 3
    assert all({*each.verify("v9").files} == {*FILES} for each in hosts)


def test_a_run_that_may_not_publish_leaves_nothing(host: Host) -> None:
    registry = host("one")

    def lost() -> None:
        raise LeaseLost("run")

    with pytest.raises(LeaseLost):
        registry.publish(draft(run_id="run"), FILES, fence=lost)
    assert registry.bucket.keys("runs/") == []
    assert registry.mirror.published() == []


def test_a_run_that_loses_its_lease_between_two_tries_leaves_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, fences = host("one"), iter([None, LeaseLost("run")])
    monkeypatch.setattr(Bucket, "create", lambda *_: False)

    def fence() -> None:
        if (lost := next(fences)) is not None:
            raise lost

    with pytest.raises(LeaseLost):
        registry.publish(draft(run_id="run"), FILES, fence=fence)
    assert registry.bucket.keys("runs/") == []


def test_without_its_client_a_shared_registry_stops_the_start_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if "registry.shared." in name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "obstore", None)
    control = build_control(settings(tmp_path, REGISTRY_URL="s3://models/prod"))
    with pytest.raises(CannotStart, match=r"needs obstore: pip install 'mlengine\[s3\]'"):
        control.open_registry()


def test_a_version_that_is_not_there_is_neither_activated_nor_pinned(host: Host) -> None:
    registry = host("one")
    put(registry)
    with pytest.raises(ModelNotFound):
        activate(registry, "v2")
    with pytest.raises(ModelNotFound):
        registry.pin("v2", Pin(at=NOW, actor="me", reason=""))


def test_pins_and_pruning_hold_on_all_hosts(host: Host) -> None:
    one, two = host("one"), host("two")
    for number in range(4):
        put(one, f"run{number}")
    activate(one, "v2")
    two.refresh()
    two.pin("v1", Pin(at=NOW, actor="me", reason="kept"))
    removed: list[str] = []
    one.prune(keep_newest=1, audited=lambda _: False, record=removed.append)
    assert removed == ["v3"]
    two.refresh()
    assert two.versions() == one.versions() == ["v1", "v2", "v4"]
    assert not [key for key in one.bucket.keys("runs/") if key.startswith("run2/")]
    assert one.unpin("v1")
    assert not two.unpin("v1")


def test_a_host_goes_on_with_what_it_has_while_the_store_is_gone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    put(one)
    activate(one, "v1")
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    gone, states = host("one"), DependencyStates()
    RegistryPoll(gone, 1.0, states).look()
    assert states.state("registry") == "degraded"
    assert gone.load("v1", "model.txt")[1] == b"tree\n"
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        put(gone)
    with pytest.raises(RegistryUnavailable):
        activate(gone, "v1")
    RegistryPoll(one, 1.0, states).look()
    assert states.state("registry") == "ok"


def test_a_store_that_ignores_conditions_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ignoring(bucket: Bucket, key: str, content: bytes) -> bool:
        bucket.put(key, content)
        return True

    monkeypatch.setattr(Bucket, "create", ignoring)
    with pytest.raises(CannotStart, match="ignores conditional writes"):
        host("one").identity()


def test_a_host_with_another_registry_does_not_start(
    url: str, server: S3Server, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/audit.db"

    def start(name: str, registry: str) -> None:
        values = {"REGISTRY_URL": registry, "AUDIT_DATABASE_URL": database}
        build_control(settings(tmp_path / name, **values)).migrate_and_backfill()

    start("one", url)
    start("two", url)
    with pytest.raises(CannotStart, match="the database is of a platform whose registry is"):
        start("three", server.new_prefix())


def test_a_version_that_another_host_activates_while_it_is_pruned_comes_back(host: Host) -> None:
    one, two = host("one"), host("two")
    for number in range(3):
        put(one, f"run{number}")
    activate(one, "v3")
    one.prune(
        keep_newest=1,
        audited=lambda _: False,
        record=lambda version: activate(two, version) and None,
    )
    one.refresh()
    active = one.active.read()
    assert active is not None
    assert active.version in one.versions()
    assert active.previous_version in one.versions()
    one.verify(active.version)


def test_what_a_host_pruned_already_is_not_pruned_again(host: Host) -> None:
    one, two = host("one"), host("two")
    for number in range(3):
        put(one, f"run{number}")
    activate(one, "v3")
    two.refresh()

    def prune_there(_: str) -> None:
        two.prune(keep_newest=1, audited=lambda _: False, record=lambda _: None)

    one.prune(keep_newest=1, audited=lambda _: False, record=prune_there)
    assert one.versions() == two.versions() == ["v3"]


def test_a_file_that_no_manifest_lists_is_not_looked_for(host: Host) -> None:
    one = host("one")
    put(one)
    with pytest.raises(ArtifactCorrupt, match=r"lists no other\.txt"):
        one.read("v1", "other.txt")


def test_a_bucket_that_was_emptied_leaves_an_empty_mirror(host: Host) -> None:
    one = host("one")
    put(one)
    activate(one, "v1")
    one.bucket.delete(["ACTIVE", "versions/v1.json", "PINNED.json"])
    one.refresh()
    assert one.active.read() is None
    assert one.versions() == []


def test_a_mirror_whose_file_was_replaced_by_a_folder_is_mended_or_named(host: Host) -> None:
    one = host("one")
    put(one)
    activate(one, "v1")
    one.active.path.unlink()
    one.active.path.mkdir()
    with pytest.raises(ArtifactsUnavailable):
        one.refresh()
    one.active.path.rmdir()
    one.refresh()
    assert one.active.read() is not None


def test_a_poll_says_once_that_the_registry_is_gone_and_once_that_it_is_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, states = host("one"), DependencyStates()
    put(one)
    poll = RegistryPoll(one, 0.01, states)
    with monkeypatch.context() as gone:
        gone.setattr(Bucket, "look", _refuse)
        gone.setattr(Bucket, "keys", _refuse)
        for _ in range(3):
            poll.look()
        assert states.state("registry") == "degraded"
    poll.look()
    assert states.state("registry") == "ok"
    mine = threading.current_thread().name  # polls of earlier hosts go on in theirs
    assert [each.message for each in caplog.records if each.threadName == mine] == [
        "registry not reached",
        "registry reached again",
    ]


def _refuse(*_: object) -> None:
    raise RegistryUnavailable("it does not answer")


def test_a_poll_takes_in_what_others_do_and_a_folder_needs_none(host: Host, tmp_path: Path) -> None:
    one, two = host("one"), host("two")
    RegistryPoll(two, 0.01, DependencyStates()).start()
    put(one)
    activate(one, "v1")
    assert eventually(lambda: two.active.read() is not None)
    folder, states = Registry(tmp_path / "alone"), DependencyStates()
    RegistryPoll(folder, 0.01, states).start()
    assert states.state("registry") == "unknown"
    assert folder.identity() == folder.identity() != Registry(tmp_path / "other").identity()


def test_what_was_published_elsewhere_just_now_can_be_activated(url: str, tmp_path: Path) -> None:
    platform = build_platform(settings(tmp_path / "two", REGISTRY_URL=url))
    platform.control.migrate_and_backfill()
    other = open_registry(settings(tmp_path / "one", REGISTRY_URL=url), "main")
    version = other.publish(draft(), tiny_files(), fence=lambda: None).version
    activation = platform.models.activate(version, actor="me", reason="", now=NOW)
    assert (activation.active_version, activation.generation) == ("v1", 1)
    with pytest.raises(ModelNotFound):
        platform.models.activate("v2", actor="me", reason="", now=NOW)


def test_lines_share_a_bucket_and_no_name(url: str, tmp_path: Path) -> None:
    def opened(host: str, line: str) -> SharedRegistry:
        registry = open_registry(settings(tmp_path / host, REGISTRY_URL=url), line)
        assert isinstance(registry, SharedRegistry)
        return registry

    main, slow = opened("one", "main"), opened("one", "slow")
    put(main, "run1")
    activate(main, "v1")
    for run_id in ("run2", "run3"):
        put(slow, run_id)
    activate(slow, "v2")
    others = [opened("two", line) for line in ("main", "slow")]
    poll = RegistryPoll(others[0], 1.0, DependencyStates())
    poll.watch(others[1])
    poll.look()
    assert [each.versions() for each in others] == [["v1"], ["v1", "v2"]]
    assert [each.active.path.parent.name for each in others] == ["main", "slow"]
    active = [each.active.read() for each in others]
    assert [each and each.version for each in active] == ["v1", "v2"]
    assert {*main.bucket.keys("versions/")} == {"v1.json"}
