"""The registry that the settings name: a folder of this host, or one that hosts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlengine.config import Settings
from mlengine.stores.registry.folders import versions_directory

if TYPE_CHECKING:
    from mlengine.stores.registry.registry import Registry


def open_registry(settings: Settings) -> Registry:
    """Connects to nothing yet; imports what reads manifests."""
    directory = versions_directory(settings.registry_dir)
    if settings.registry_url is None:
        from mlengine.stores.registry.registry import Registry  # noqa: PLC0415 - its manifests

        return Registry(directory)
    from mlengine.stores.registry.shared.bucket import Bucket  # noqa: PLC0415 - the extra [s3]
    from mlengine.stores.registry.shared.registry import SharedRegistry  # noqa: PLC0415

    return SharedRegistry(directory, Bucket(settings.registry_url))
