"""The catalog of versions alone, for commands that shall take no time."""

from contextlib import suppress

from mlengine.bootstrap.registry import open_registry
from mlengine.config import Settings
from mlengine.core.line_names import MODEL_LINE
from mlengine.errors import DatabaseUnavailable, RegistryUnavailable
from mlengine.services.models.catalog import ModelCatalog


def build_catalog(settings: Settings, line: str = MODEL_LINE) -> ModelCatalog:
    """That of a model line; raises DatabaseUnavailable where the platform was never started."""
    if not settings.artifacts_dir.is_dir():
        raise DatabaseUnavailable(DatabaseUnavailable.never_started)
    registry = open_registry(settings, line)
    with suppress(RegistryUnavailable):  # what this host has of it is shown
        registry.refresh()
    return ModelCatalog(registry)
