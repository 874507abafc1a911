"""`PINNED.json`, the versions that are never removed, replaced in one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from mlengine.core import serialization
from mlengine.core.versions.pruning import Pin
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.registry.folders import VERSION
from mlengine.stores.system import atomic_files, strict_files


@dataclass(frozen=True)
class PinFile:
    path: Path

    def read(self) -> dict[str, Pin]:
        """The pins by version, none before the first; raises ArtifactCorrupt."""
        try:
            return self._parse()
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise ArtifactCorrupt(self.path.name, "it can't be read") from None

    def _parse(self) -> dict[str, Pin]:
        pins = strict_files.read_json_object(self.path)
        if not all(map(VERSION.match, pins)):
            raise ValueError("pins are of versions")
        return {version: serialization.from_plain(Pin, pin) for version, pin in pins.items()}

    def read_or_empty(self) -> dict[str, Pin]:
        """As `read`, but no pins where the file can't be read: good enough to show, not to act."""
        try:
            return self.read()
        except ArtifactCorrupt:
            return {}

    def replace(self, pins: Mapping[str, Pin]) -> None:
        """Put `pins` in place of those before; the caller holds the registry's lock."""
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        atomic_files.replace_file(
            self.path, orjson.dumps(serialization.to_plain(pins), option=options)
        )
