"""The registry that the settings name: a folder of this host, or one that hosts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlengine.config import Settings
from mlengine.core.line_names import MODEL_LINE
from mlengine.errors import CannotStart
from mlengine.stores.registry.folders import versions_directory

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mlengine.stores.registry.registry import Registry
    from mlengine.stores.registry.shared.bucket import Bucket


def open_registry(settings: Settings, line: str = MODEL_LINE) -> Registry:
    """That of a model line; connects to nothing yet, and imports what reads manifests.

    Raises CannotStart where the client of object storage is not installed.
    """
    directory = versions_directory(settings.registry_dir, line)
    bucket = open_bucket(settings, line)
    if bucket is None:
        from mlengine.stores.registry.registry import Registry  # noqa: PLC0415 - its manifests

        return Registry(directory)
    from mlengine.stores.registry.shared.registry import (  # noqa: PLC0415 - as the bucket
        SharedRegistry,
    )

    return SharedRegistry(directory, bucket)


def open_bucket(settings: Settings, line: str = MODEL_LINE) -> Bucket | None:
    """What hosts share of a model line; None where the registry is a folder.

    Raises CannotStart where the client of object storage is not installed.
    """
    if settings.registry.url is None:
        return None
    try:
        from mlengine.stores.registry.shared.bucket import Bucket  # noqa: PLC0415 - the extra [s3]
    except ModuleNotFoundError as error:
        raise CannotStart(f"REGISTRY_URL needs {error.name}: pip install 'mlengine[s3]'") from None
    below = "" if line == MODEL_LINE else f"/lines/{line}"
    return Bucket(f"{settings.registry.url.rstrip('/')}{below}")


@dataclass(frozen=True)
class RegistryOpener:
    """Opens it when it is called, for who may never need it."""

    settings: Settings
    line: str = MODEL_LINE

    def __call__(self) -> Registry:
        return open_registry(self.settings, self.line)


def hold_to_database(registry: Registry, database: Engine) -> None:
    """Take in the registry, and hold it to the one that the database is of.

    Hosts on one database and two registries would give one name to different models. A file of
    SQLite is of one host, so that there is nothing to hold. Raises CannotStart,
    DatabaseUnavailable or ArtifactsUnavailable.
    """
    if not registry.is_shared and database.dialect.name == "sqlite":
        return
    from mlengine.stores.database.platform_id import claim_registry  # noqa: PLC0415 - SQLAlchemy

    ours = registry.identity()
    theirs = claim_registry(database, ours)
    if theirs != ours:
        raise CannotStart(
            f"the database is of a platform whose registry is {theirs}, and this host's is {ours}:"
            " name the same by REGISTRY_URL or ARTIFACTS_DIR, or another database"
        )
    registry.refresh()
