"""`PINNED.json`, the versions that are never removed, replaced in one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from mlengine.core import serialization
from mlengine.core.versions.pruning import Pin
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.system import atomic_files


@dataclass(frozen=True)
class PinFile:
    path: Path

    def read(self) -> dict[str, Pin]:
        """The pins by version, none before the first; raises ArtifactCorrupt."""
        try:
            pins = orjson.loads(self.path.read_bytes())
            return {version: serialization.from_plain(Pin, pin) for version, pin in pins.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError):
            raise ArtifactCorrupt(self.path.name, "it can't be read") from None

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
