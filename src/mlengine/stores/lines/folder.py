"""The folder of files that define model lines: `momentum.toml` is the line `momentum`."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mlengine.core.line_names import LINE_RULE, MODEL_LINE, is_line_name
from mlengine.core.lines.line import LineDefinition
from mlengine.errors import CannotStart

_SUFFIX = ".toml"


@dataclass(frozen=True)
class LineFile:
    """One definition; `sha256` is the digest of its file."""

    name: str
    definition: LineDefinition
    sha256: str


@dataclass(frozen=True)
class LineFolder:
    directory: Path

    def read(self) -> tuple[LineFile, ...]:
        """All files by name, none where there is no folder; raises CannotStart for a bad one."""
        if not self.directory.is_dir():
            return ()
        return tuple(map(_read, sorted(self.directory.glob(f"*{_SUFFIX}"))))


def _read(path: Path) -> LineFile:
    name = path.name.removesuffix(_SUFFIX)
    if not is_line_name(name) or name == MODEL_LINE:
        raise CannotStart(f"{path} names no model line: {LINE_RULE}, and not {MODEL_LINE}")
    try:
        content = path.read_bytes()
        definition = LineDefinition.from_dict(tomllib.loads(content.decode()))
    except OSError:
        raise CannotStart(f"{path} can't be read") from None
    except ValueError as error:  # also what is no TOML
        raise CannotStart(f"{path} defines no model line: {error}") from None
    return LineFile(name, definition, hashlib.sha256(content).hexdigest())
