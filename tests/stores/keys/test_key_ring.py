from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import process_time

import pytest
from tests.named_keys import add_key, revoke_key

from mlengine.stores.keys.key_file import KeyFile
from mlengine.stores.keys.key_ring import KeyRing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def ring_of(path: Path) -> KeyRing:
    return KeyRing(KeyFile(path))


def cpu_seconds(ring: KeyRing, *presented: str) -> float:
    started = process_time()
    for each in presented:
        ring.find(each)
    return process_time() - started


def test_a_key_is_found_by_its_name_and_its_secret_alone(path: Path) -> None:
    ann, bob = add_key(path, "ann", "read"), add_key(path, "bob", "audit", letter="t")
    ring = ring_of(path)
    for _ in range(2):
        found = ring.find(ann)
        assert found is not None
        assert (found[0], found[1].scopes) == ("ann", ("read",))
        for wrong in (
            ann[:-1] + "x",
            ann.replace("ann", "bob"),
            ann.replace("ann", "eve"),
            "",
            "x",
        ):
            assert ring.find(wrong) is None
    assert ring.find(bob) is not None


def test_without_a_file_there_are_no_keys() -> None:
    ring = KeyRing(None)
    assert (ring.find("mle_ann_" + "s" * 43), ring.keys(), ring.damage()) == (None, {}, None)
    ring.reload()
    assert not ring.has_file


def test_a_key_is_hashed_once_and_a_wrong_one_each_time(path: Path) -> None:
    key = add_key(path, "ann", "read")
    ring = ring_of(path)
    first = cpu_seconds(ring, key)
    assert cpu_seconds(ring, *[key] * 20) < first
    assert cpu_seconds(ring, *[key[:-1] + "x"] * 20) > 5 * first
    ring.reload()
    assert cpu_seconds(ring, key) > first / 5, "it is verified again"


def test_no_key_is_kept_in_memory(path: Path) -> None:
    ring = ring_of(path)
    ring.find(add_key(path, "ann", "read"))
    assert "s" * 43 not in repr(vars(ring))


def test_a_change_of_the_file_is_heeded_with_the_next_question(path: Path) -> None:
    ann = add_key(path, "ann", "read")
    ring = ring_of(path)
    bob = add_key(path, "bob", "audit", letter="t")
    assert ring.find(bob) is not None
    revoke_key(path, "ann")
    found = ring.find(ann)
    assert found is not None
    assert found[1].revoked_at is not None


@contextmanager
def damaged(path: Path, kind: str) -> Iterator[None]:
    whole = path.read_bytes()
    path.unlink()
    if kind != "gone":
        path.write_bytes(
            {"empty": b"", "half": whole[: len(whole) // 2], "zeros": b"\0" * 99}[kind]
        )
    yield
    path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["gone", "empty", "half", "zeros"])
def test_the_last_good_keys_stay_in_force_while_the_file_is_damaged(path: Path, kind: str) -> None:
    key = add_key(path, "ann", "read")
    ring = ring_of(path)
    assert ring.damage() is None
    with damaged(path, kind):
        for _ in range(2):
            assert ring.find(key) is not None
            assert ring.damage() is not None
            ring.reload()
        assert ring_of(path).find(key) is None, "a process that starts then has no keys"
    assert ring.damage() is None
    assert ring.find(key) is not None


def test_threads_find_keys_while_the_file_changes(path: Path) -> None:
    key = add_key(path, "ann", "read")
    ring = ring_of(path)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(ring.find, key) for _ in range(40)]
        for number in range(5):
            add_key(path, f"other-{number}", "read")
        assert all(each.result() is not None for each in found)
    assert len(ring.keys()) == 6
