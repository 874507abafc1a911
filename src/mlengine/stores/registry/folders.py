"""The folders of a model line by their names alone; loads nothing, so that any process may look."""

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from mlengine.core.line_names import MODEL_LINE, is_line_name
from mlengine.core.versions.layout import ACTIVE_FILE, MANIFEST_FILE, PINS_FILE
from mlengine.stores.system import atomic_files, strict_files

VERSION = re.compile(r"^v[1-9][0-9]{0,9}\Z", re.ASCII)
MOST_MANIFEST_BYTES = 64_000_000  # a series is 300 bytes, and there are thousands at most
STAGING = ".staging-"
REMOVED = ".removed-"
_UNFINISHED_REPLACEMENT = re.compile(
    rf"^\.({re.escape(ACTIVE_FILE)}|{re.escape(PINS_FILE)})\.[0-9a-f]{{16}}\Z"
)


def versions_directory(artifacts_dir: Path, line: str = MODEL_LINE) -> Path:
    """The folder of a model line, which may not be there yet."""
    return artifacts_dir / "models" / line


def line_directories(artifacts_dir: Path) -> list[Path]:
    """The folders of all model lines that are there, by name."""
    models = artifacts_dir / "models"
    if not models.is_dir():
        return []
    return sorted(path for path in models.iterdir() if is_line_name(path.name) and path.is_dir())


def published_versions(directory: Path) -> list[str]:
    """Published versions in numeric order."""
    if not directory.is_dir():
        return []
    versions = [entry.name for entry in directory.iterdir() if VERSION.match(entry.name)]
    return sorted(versions, key=lambda version: int(version[1:]))


def staged_run_ids(directory: Path) -> frozenset[str]:
    """The ids of the runs that have a half-written folder."""
    return frozenset(path.name.removeprefix(STAGING) for path in directory.glob(f"{STAGING}*"))


def remove_staged(directory: Path, run_ids: Collection[str]) -> None:
    """Remove the half-written folders of runs that are no more; what resists stays."""
    _remove_hidden(directory, [directory / f"{STAGING}{run_id}" for run_id in run_ids])


def clear_leftovers(directory: Path) -> None:
    """Remove what processes left that died while they changed something; what resists stays.

    The caller holds the registry's lock, so that nobody is changing anything now.
    """
    paths = list(directory.iterdir())
    _remove_hidden(directory, [path for path in paths if path.name.startswith(REMOVED)])
    for path in paths:
        if _UNFINISHED_REPLACEMENT.match(path.name):
            path.unlink(missing_ok=True)


def _remove_hidden(directory: Path, paths: Collection[Path]) -> None:
    """Remove folders, once the disk has the names that hide them.

    Else a power cut could bring back what is left of one under the name of a version, which it had.
    """
    there = [path for path in paths if path.exists()]
    if not there:
        return
    try:
        atomic_files.fsync_directory(directory)
    except OSError:
        return
    for path in there:
        shutil.rmtree(path, ignore_errors=True)


def version_published_by(directory: Path, run_id: str) -> str | None:
    """The version that the run made visible, None where there is none."""
    for version in reversed(published_versions(directory)):
        try:
            manifest = strict_files.read_json_object(
                directory / version / MANIFEST_FILE, most_bytes=MOST_MANIFEST_BYTES
            )
        except (OSError, ValueError):
            continue
        if manifest.get("run_id") == run_id:
            return version
    return None
