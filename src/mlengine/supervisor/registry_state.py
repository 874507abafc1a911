"""What the supervisor sees of the models: names of files and folders, no contents."""

from dataclasses import dataclass
from pathlib import Path

from mlengine.config import Settings
from mlengine.core.versions.layout import ACTIVE_FILE
from mlengine.stores.registry.folders import published_versions, versions_directory
from mlengine.supervisor.messages import command_text, example_request


@dataclass(frozen=True)
class RegistryState:
    settings: Settings

    @property
    def directory(self) -> Path:
        return versions_directory(self.settings.registry_dir)

    def has_active(self) -> bool:
        return (self.directory / ACTIVE_FILE).exists()

    def needs_first_training(self) -> bool:
        """Whether nothing serves, and a training could change that or is the first of all."""
        if self.has_active():
            return False
        is_by_hand = self.settings.train.is_activated_by_hand or self._needs_approval
        return not is_by_hand or not published_versions(self.directory)

    def next_step(self) -> str:
        """One line: the request that is answered now, or what is missing for it."""
        if self.has_active():
            return f"ready: curl '{example_request(self.settings)}'"
        versions = published_versions(self.directory)
        if not versions:
            return f"no model was published; to train one: {command_text('train')}"
        train = self.settings.train
        why = f"TRAIN_ACTIVATE={train.activate}"
        if self._needs_approval:
            why = "ACTIVATION_APPROVALS is on"
        elif not train.is_reproducible:
            why = f"TRAIN_ENGINE={train.engine}"
        return (
            f"no model is active ({why}); to serve the newest: "
            f"{command_text(f'models activate {versions[-1]}')}"
        )

    @property
    def _needs_approval(self) -> bool:
        return self.settings.access.activation_approvals
