"""Takes in, second by second, what other hosts did to the registry."""

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from mlengine.errors import MlengineError
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system.dependency_states import DependencyStates

log = logging.getLogger(__name__)

_LOOKS_A_LISTING = 10


@dataclass
class RegistryPoll:
    """A thread of a serving process. Every tenth look lists the versions, the others cost less.

    While the registry can't be reached, what is here goes on serving, and `registry` is `degraded`.
    """

    registry: Registry
    seconds: float
    states: DependencyStates
    _looks: int = field(default=0, init=False)
    _others: dict[Path, Registry] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Look until the process ends; where nobody shares the registry there is nothing to do."""
        if self.registry.is_shared:
            threading.Thread(target=self._run, name="registry-poll", daemon=True).start()

    def watch(self, registry: Registry) -> None:
        """Look at the registry of another line, too."""
        self._others[registry.directory] = registry

    def look(self) -> None:
        """Look once; never raises."""
        self._looks += 1
        try:
            for registry in (self.registry, *list(self._others.values())):
                registry.refresh(active_only=self._looks % _LOOKS_A_LISTING != 1)
        except MlengineError as refusal:
            if self.states.state("registry") != "degraded":
                log.warning("registry not reached", extra={"reason": str(refusal)})
            self.states.record("registry", "degraded")
        else:
            if self.states.state("registry") == "degraded":
                log.warning("registry reached again")
            self.states.record("registry", "ok")

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self.look()
            pause.wait(self.seconds)
