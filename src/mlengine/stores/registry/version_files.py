"""The files of a version, read against the digests of its manifest."""

import hashlib
from pathlib import Path

from mlengine.core.versions import manifest as manifests
from mlengine.core.versions.layout import MANIFEST_FILE
from mlengine.core.versions.manifest import SCHEMA_VERSION, Manifest, SchemaMismatch
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.registry.folders import MOST_MANIFEST_BYTES
from mlengine.stores.system import strict_files

_MOST_FILE_BYTES = 4_000_000_000


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the version that the folder is named after; raises ArtifactCorrupt."""
    version, path = folder.name, folder / MANIFEST_FILE
    try:
        manifest = manifests.parse(strict_files.read_bytes(path, most_bytes=MOST_MANIFEST_BYTES))
    except FileNotFoundError:
        raise ArtifactCorrupt(version, f"{MANIFEST_FILE} is missing") from None
    except SchemaMismatch as other:
        reason = f"its manifest has schema version {other.version}, here it is {SCHEMA_VERSION}"
        raise ArtifactCorrupt(version, f"{reason}; a newer mlengine reads it") from None
    except (OSError, ValueError):
        raise ArtifactCorrupt(version, f"{MANIFEST_FILE} is not what was published") from None
    if not all(Path(name).name == name for name in manifest.files):
        raise ArtifactCorrupt(version, f"{MANIFEST_FILE} names files elsewhere")
    if manifest.version != version:
        raise ArtifactCorrupt(version, f"{MANIFEST_FILE} is that of {manifest.version}")
    return manifest


def read_version_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """A file of the version in `folder`; raises ArtifactCorrupt where it has another digest."""
    digest = manifest.files.get(name)
    if digest is None:
        raise ArtifactCorrupt(manifest.version, f"the manifest lists no {name}")
    try:
        content = strict_files.read_bytes(folder / name, most_bytes=_MOST_FILE_BYTES)
    except (OSError, ValueError):
        raise ArtifactCorrupt(manifest.version, f"{name} can't be read") from None
    if sha256(content) != digest:
        raise ArtifactCorrupt(manifest.version, f"{name} differs from its digest")
    return content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
