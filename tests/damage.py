"""Forty kinds of damage to a file: what disks, editors, full folders and hostile hands leave.

`KINDS` has them by name; each takes the path of a whole file. Twenty fit any file, the others are
JSON that parses and lies.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]
KINDS: dict[str, Damage] = {}
_HUGE = 10**30


def _bytes(name: str, change: Callable[[bytes], bytes]) -> None:
    def damage(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    KINDS[name] = damage


def _fields(name: str, change: Callable[[Any], Any]) -> None:
    """Change the JSON value of the file's last line, or of all of it."""

    def damage(path: Path) -> None:
        try:
            value = json.loads(path.read_bytes())
        except ValueError:  # no JSON: the change as JSON stands for it
            value = {"version": "v1"}
        path.write_text(json.dumps(change(value)) + "\n")

    KINDS[name] = damage


def _noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)


def _every_leaf(lie: object) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: change(item) for name, item in value.items()}
        if isinstance(value, list):
            return [change(item) for item in value]
        return lie

    return change


def _instead(make: Callable[[Path], None]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


_bytes("empty", lambda _: b"")
_bytes("one_byte", lambda content: content[:1])
_bytes("half", lambda content: content[: len(content) // 2])
_bytes("without_the_last_bytes", lambda content: content[:-3])
_bytes("zeros", lambda _: bytes(64))
_bytes("zeros_of_its_size", lambda content: bytes(len(content)))
_bytes("zeros_at_the_end", lambda content: content + bytes(64))
_bytes("zeros_in_the_middle", lambda content: content[:20] + bytes(64) + content[84:])
_bytes("garbage", lambda content: _noise(max(64, len(content))))
_bytes("garbage_at_the_end", lambda content: content + _noise(64))
_bytes("garbage_at_the_start", lambda content: _noise(16) + content[16:])
_bytes("a_flipped_bit", lambda content: bytes([content[0] ^ 1]) + content[1:])
_bytes("doubled", lambda content: content * 2)
_bytes("utf16", lambda content: content.decode("latin-1").encode("utf-16"))
_bytes("byte_order_mark", lambda content: codecs.BOM_UTF8 + content)
_bytes("not_utf8", lambda content: content.replace(b"e", b"\xff", 3))
_bytes("compressed", gzip.compress)
_bytes("ten_megabytes", lambda content: content + b" " * 10_000_000)
KINDS["a_folder"] = _instead(Path.mkdir)
KINDS["a_link_to_nothing"] = _instead(lambda path: path.symlink_to("nothing"))
KINDS["a_link_to_itself"] = _instead(lambda path: path.symlink_to(path))
KINDS["an_endless_device"] = _instead(lambda path: path.symlink_to("/dev/zero"))
KINDS["a_pipe"] = _instead(os.mkfifo)
KINDS["gone"] = Path.unlink
_bytes("too_deep", lambda _: b"[" * 100_000 + b"]" * 100_000)
_bytes("deep_objects", lambda _: b'{"a":' * 900 + b"1" + b"}" * 900)
_bytes("not_a_number", lambda _: b'{"version": NaN, "generation": Infinity}')
_fields("a_list", lambda value: [value])
_fields("a_text", lambda _: "v1")
_fields("a_number", lambda _: 1)
_fields("null", lambda _: None)
_fields("no_fields", lambda _: {})
_fields("another_field", lambda value: {**value, "more": 1} if isinstance(value, dict) else value)
_fields("every_value_null", _every_leaf(None))
_fields("every_value_a_list", _every_leaf([["v1"]]))
_fields("every_value_an_object", _every_leaf({"v1": "v1"}))
_fields("every_value_too_large", _every_leaf(_HUGE))
_fields("every_value_negative", _every_leaf(-1))
_fields("every_value_half_a_character", _every_leaf("\ud800"))
_fields("every_value_a_path", _every_leaf("../../../etc/passwd"))
_fields("every_value_a_moment_out_of_range", _every_leaf("0001-01-01T00:00:00+14:00"))
_fields("every_value_very_long", _every_leaf("v" * 1_000_000))


@contextmanager
def damaged(path: Path, kind: str) -> Iterator[None]:
    """The file as `kind` leaves it, and whole again at the end of the block."""
    content = path.read_bytes()
    KINDS[kind](path)
    try:
        yield
    finally:
        path.parent.mkdir(exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
