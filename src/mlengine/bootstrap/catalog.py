"""The catalog of versions alone, for commands that shall take no time."""

from mlengine.config import Settings
from mlengine.errors import DatabaseUnavailable
from mlengine.services.models.catalog import ModelCatalog
from mlengine.stores.registry.folders import versions_directory
from mlengine.stores.registry.registry import Registry


def build_catalog(settings: Settings) -> ModelCatalog:
    """Raises DatabaseUnavailable where the platform was never started."""
    if not settings.artifacts_dir.is_dir():
        raise DatabaseUnavailable(DatabaseUnavailable.never_started)
    return ModelCatalog(Registry(versions_directory(settings.artifacts_dir)))
