"""`PINNED.json`, the versions that are never removed, replaced in one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from mlengine.core import serialization
from mlengine.core.versions.layout import PINS_FILE
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
        return _parse(strict_files.read_json_object(self.path))

    def read_or_empty(self) -> dict[str, Pin]:
        """As `read`, but no pins where the file can't be read: good enough to show, not to act."""
        try:
            return self.read()
        except ArtifactCorrupt:
            return {}

    def replace(self, pins: Mapping[str, Pin]) -> None:
        """Put `pins` in place of those before; the caller holds the registry's lock."""
        atomic_files.replace_file(self.path, dump(pins))


def dump(pins: Mapping[str, Pin]) -> bytes:
    """What the file holds."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(serialization.to_plain(pins), option=options)


def parse(content: bytes) -> dict[str, Pin]:
    """The inverse of `dump`; raises ArtifactCorrupt."""
    try:
        return _parse(strict_files.parse_json_object(content))
    except ValueError:
        raise ArtifactCorrupt(PINS_FILE, "it can't be read") from None


def _parse(pins: Mapping[str, object]) -> dict[str, Pin]:
    if not all(map(VERSION.match, pins)):
        raise ValueError("pins are of versions")
    return {version: serialization.from_plain(Pin, pin) for version, pin in pins.items()}
