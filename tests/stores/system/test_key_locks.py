from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlengine.stores.system.key_locks import KeyLocks

_TAKE = """
import sys
from pathlib import Path
from mlengine.stores.system.key_locks import KeyLocks
locks = KeyLocks(Path(sys.argv[1]))
print(*(locks.take(key) for key in sys.argv[2:]))
"""


def taken_elsewhere(file: Path, *keys: str) -> list[bool]:
    command = [sys.executable, "-c", _TAKE, str(file), *keys]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [word == "True" for word in output.split()]


def test_a_key_is_of_one_process_until_it_is_released(tmp_path):
    locks = KeyLocks(tmp_path / "locks")
    assert locks.take("AAA")
    assert locks.take("AAA")
    assert taken_elsewhere(tmp_path / "locks", "AAA", "BBB", "BBB") == [False, True, True]
    locks.release("AAA")
    assert taken_elsewhere(tmp_path / "locks", "AAA") == [True]
    assert locks.take("AAA"), "a process that ends has none"


def test_without_a_file_every_process_has_all_keys(tmp_path):
    for locks in (KeyLocks(), KeyLocks(tmp_path / "nowhere" / "locks")):
        assert locks.take("AAA")
        locks.release("AAA")
