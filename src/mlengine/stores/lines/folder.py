"""The folder of files that define model lines: `momentum.toml` is the line `momentum`."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mlengine.core.line_names import LINE_RULE, MODEL_LINE, is_line_name
from mlengine.core.lines.line import LineDefinition
from mlengine.errors import CannotStart, RefusedLineFiles

_SUFFIX = ".toml"


@dataclass(frozen=True)
class LineFile:
    """One definition; `sha256` is the digest of its file."""

    name: str
    definition: LineDefinition
    sha256: str
    path: Path


@dataclass(frozen=True)
class LineFolder:
    directory: Path

    def read(self) -> tuple[LineFile, ...]:
        """All files by name, none where there is no folder.

        Raises RefusedLineFiles, with every file that defines no line.
        """
        files, refusals = self.scan()
        if refusals:
            raise RefusedLineFiles(refusals)
        return files

    def scan(self) -> tuple[tuple[LineFile, ...], tuple[str, ...]]:
        """The files that define a line, and of each other one why it defines none."""
        if not self.directory.is_dir():
            return (), ()
        files, refusals = [], []
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            try:
                files.append(_read(path))
            except CannotStart as refusal:
                refusals.append(str(refusal))
        return tuple(files), tuple(refusals)


def _read(path: Path) -> LineFile:
    name = path.name.removesuffix(_SUFFIX)
    if not is_line_name(name) or name == MODEL_LINE:
        raise CannotStart(f"{path} names no model line: {LINE_RULE}, and not {MODEL_LINE}")
    try:
        content = path.read_bytes()
        definition = LineDefinition.from_dict(tomllib.loads(content.decode()))
    except OSError as error:
        raise CannotStart(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:  # also what is no TOML
        raise CannotStart(f"{path} defines no model line: {error}") from None
    return LineFile(name, definition, hashlib.sha256(content).hexdigest(), path)
