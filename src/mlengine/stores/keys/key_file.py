"""The file of named keys: hashes only, its user's alone, replaced in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from mlengine.core import serialization
from mlengine.core.keys import ApiKey, is_key_name
from mlengine.errors import KeysDamaged
from mlengine.stores.system import atomic_files, strict_files

Signature = tuple[int, int, int, int]

_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class KeyFile:
    path: Path

    def read(self) -> dict[str, ApiKey]:
        """The keys by name; raises KeysDamaged, also where there is no such file."""
        try:
            return self._parse()
        except OSError as error:
            raise KeysDamaged(str(self.path), atomic_files.describe_error(error)) from None
        except strict_files.DamagedFile as damage:
            raise KeysDamaged(str(self.path), str(damage)) from None
        except ValueError:
            raise KeysDamaged(str(self.path), "it is no file of keys") from None

    def signature(self) -> Signature | None:
        """What changes whenever the file is replaced or edited; one `stat`."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size

    @contextmanager
    def change(self) -> Iterator[dict[str, ApiKey]]:
        """The keys to change in the block, which are written at its end; one process at a time.

        No file is none yet. Raises KeysDamaged, or ArtifactsUnavailable where it can't be written.
        """
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(self.path.parent)
            with atomic_files.file_lock(self.path.with_name(f".{self.path.name}.lock")):
                keys = self.read() if self.path.exists() else {}
                yield keys
                atomic_files.replace_file(self.path, _as_json(keys))

    def _parse(self) -> dict[str, ApiKey]:
        content = strict_files.read_json_object(self.path)
        keys = content.get("keys")
        if content.keys() != {"schema_version", "keys"} or not isinstance(keys, dict):
            raise ValueError("it has other members")
        if content["schema_version"] != _SCHEMA_VERSION or not all(map(is_key_name, keys)):
            raise ValueError("it is of another schema, or a name is none")
        return {name: serialization.from_plain(ApiKey, key) for name, key in keys.items()}


def _as_json(keys: Mapping[str, ApiKey]) -> bytes:
    content = {"schema_version": _SCHEMA_VERSION, "keys": serialization.to_plain(keys)}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
