"""A disk with a page cache: what was not forced to it may be gone after a power cut.

The files are real ones in a folder, as the living processes see them. Beside them the disk knows
what has reached it: of a file its bytes at the last fsync, of a folder its names at the last fsync.
Changes of a folder reach the disk in their order; those of two folders, and the bytes of a file,
in any order. After a power cut a folder has the names of some moment since its last fsync, and of
the bytes that were not forced some part, or zeros.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random


@dataclass(eq=False)
class File:
    """`forced` is what the disk has for sure; None before the first fsync."""

    forced: bytes | None = None


@dataclass(eq=False)
class Folder:
    """`names` as processes see them, `forced` as the disk has them, `changes` in between."""

    names: dict[str, Node] = field(default_factory=dict)
    forced: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, entries: dict[str, Node | None]) -> None:
        """Several names change in one step, as a rename does; None for those that go."""
        self.changes.append(entries)
        _apply(self.names, entries)

    def force(self) -> None:
        self.forced, self.changes = dict(self.names), []

    def after_power_cut(self, chance: Random) -> dict[str, Node]:
        """The names at some moment since the last fsync, most often at the first or the last."""
        most = len(self.changes)
        kept = chance.choice((0, most, chance.randint(0, most)))
        names = dict(self.forced)
        for entries in self.changes[:kept]:
            _apply(names, entries)
        return names


Node = File | Folder


class Disk:
    """The folder `root` and all below; `files.py` tells it of every change."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self._top = Folder()
        self._handles: dict[int, tuple[Node, Path]] = {}
        self.changes = 0  # of names and bytes

    def holds(self, path: object) -> bool:
        """Whether the path is one of this disk."""
        return isinstance(path, (str, os.PathLike)) and f"{path}/".startswith(f"{self.root}/")

    def node(self, path: Path) -> Node | None:
        node: Node | None = self._top
        for name in path.relative_to(self.root).parts:
            node = node.names.get(name) if isinstance(node, Folder) else None
        return node

    def opened(self, handle: int, path: Path) -> None:
        """A file was opened, or made; or a folder."""
        node = self.node(path)
        if node is None:
            node = File()
            self._folder(path.parent).change({path.name: node})
        self._handles[handle] = node, path

    def path_of(self, handle: int) -> Path | None:
        """Where a handle was opened; None for one of another disk."""
        node, path = self._handles.get(handle, (None, None))
        return path if node is not None else None

    def closed(self, handle: int) -> None:
        self._handles.pop(handle, None)

    def forced(self, handle: int) -> None:
        """An fsync has succeeded."""
        node, _ = self._handles[handle]
        if isinstance(node, Folder):
            node.force()
        else:
            node.forced = _content(handle)

    def made(self, path: Path) -> None:
        self.changes += 1
        self._folder(path.parent).change({path.name: Folder()})

    def removed(self, path: Path) -> None:
        self.changes += 1
        self._folder(path.parent).change({path.name: None})

    def renamed(self, source: Path, target: Path) -> None:
        self.changes += 1
        node, before, after = self.node(source), self._folder(source.parent), target.parent
        assert node is not None
        if source.parent == after:
            before.change({source.name: None, target.name: node})
        else:
            self._folder(after).change({target.name: node})
            before.change({source.name: None})

    def cut_power(self, chance: Random) -> None:
        """Leave in the folder what has reached the disk; no handle is of use any more."""
        self._handles.clear()
        top = self._survivor(self._top, self.root, chance)
        shutil.rmtree(self.root)
        self._top = Folder()
        _write(top, self.root, self._top)

    def _folder(self, path: Path) -> Folder:
        node = self.node(path)
        assert isinstance(node, Folder), path
        return node

    def _survivor(self, folder: Folder, path: Path, chance: Random) -> dict[str, object]:
        names = folder.after_power_cut(chance)
        here = {id(node): name for name, node in folder.names.items()}
        survivors: dict[str, object] = {}
        for name in sorted(names):
            node = names[name]
            shown = path / here.get(id(node), "")  # where its content stands, if it still does
            if isinstance(node, Folder):
                survivors[name] = self._survivor(node, shown, chance)
            else:
                current = shown.read_bytes() if id(node) in here else node.forced or b""
                survivors[name] = _after_power_cut(node.forced, current, chance)
        return survivors


def _after_power_cut(forced: bytes | None, current: bytes, chance: Random) -> bytes:
    """What is left of a file: all that was forced, and of what came since some, none or zeros."""
    sure = forced or b""
    if current == sure:
        return current
    if not current.startswith(sure):
        return chance.choice((sure, current, current[: len(current) // 2]))
    new = current[len(sure) :]
    kept = chance.randint(0, len(new))
    return sure + chance.choice((b"", new, new[:kept], new[:kept] + bytes(len(new) - kept)))


def _apply(names: dict[str, Node], entries: dict[str, Node | None]) -> None:
    for name, node in entries.items():
        names.pop(name, None)
        if node is not None:
            names[name] = node


def _write(survivors: dict[str, object], path: Path, folder: Folder) -> None:
    """Write what has survived; the disk has all of it now."""
    path.mkdir()
    for name, content in survivors.items():
        if isinstance(content, bytes):
            (path / name).write_bytes(content)
            folder.names[name] = File(content)
        else:
            child = folder.names[name] = Folder()
            assert isinstance(content, dict)
            _write(content, path / name, child)
    folder.force()


def _content(handle: int) -> bytes:
    """All bytes of an open file, whatever it was opened for."""
    return Path(f"/proc/self/fd/{handle}").read_bytes()
