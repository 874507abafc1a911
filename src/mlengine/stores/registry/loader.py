"""Models in memory: the active one, swapped when `ACTIVE` changes, and a few others by version."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mlengine.core.boosting.model import Scorer
from mlengine.core.features import FeatureSet, variants
from mlengine.core.monitoring.drift.archive import DamagedArchive, novelty_of_arrays
from mlengine.core.monitoring.novelty import NoveltyReference
from mlengine.core.predictions.prediction import FeatureSetRef
from mlengine.core.versions.layout import MODEL_FILE, NOVELTY_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import (
    ArtifactCorrupt,
    FeatureSetMismatch,
    IntervalMismatch,
    MlengineError,
    ModelNotFound,
    NoActiveModel,
)
from mlengine.stores.registry.active import Signature
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.trial_load import require_loadable
from mlengine.stores.system import array_files
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.system.strict_files import DamagedFile

log = logging.getLogger(__name__)

_MOST_OTHERS = 4
_RETRY_SECONDS = 5.0
_UNREADABLE: Signature = (-1, -1, -1)


@dataclass(frozen=True)
class LoadedModel:
    """A verified version, ready to score; `generation` is 0 when it is not the active one."""

    manifest: Manifest
    scorer: Scorer
    feature_set: FeatureSet
    generation: int = 0
    novelty: NoveltyReference | None = None

    @property
    def version(self) -> str:
        return self.manifest.version

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Those that it was trained on."""
        return frozenset(self.manifest.data.symbols)

    @cached_property
    def feature_set_ref(self) -> FeatureSetRef:
        return FeatureSetRef.of(self.feature_set)


class ModelLoader:
    """The models of this process; safe for threads.

    A new `ACTIVE` is noticed by one `stat` a call. The new model is loaded and verified beside
    the old one; when it is refused, the old one goes on serving, the `model` check says so, and
    the new one is tried again every few seconds of `timer`, for its files may be mended. A process
    that has no old one, since it has just started, takes the one that was active before where the
    files are broken; what the configuration doesn't go with serves nothing.
    """

    def __init__(
        self,
        registry: Registry,
        feature_sets: Mapping[str, FeatureSet],
        *,
        interval: str,
        states: DependencyStates,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._active = registry.active
        self._feature_sets = feature_sets
        self._interval = interval
        self._states = states
        self._timer = timer
        self._lock = threading.Lock()
        self._loaded_signature: Signature | None = None
        self._current: LoadedModel | None = None
        self._refusal: MlengineError | None = None
        self._refused_at = 0.0
        self._others: dict[str, LoadedModel] = {}

    def active(self) -> LoadedModel:
        """The model that serves; raises NoActiveModel, or why the only one was refused."""
        if self._outdated(self._signature()):
            self._swap()
        current = self._current
        if current is not None:
            return current
        raise self._refusal or NoActiveModel

    def active_if_loaded(self) -> LoadedModel | None:
        """As `active` where no model has to be loaded first, else None."""
        return None if self._outdated(self._signature()) else self._current

    def get(self, version: str) -> LoadedModel:
        """A version by name, kept for the next call; raises as `load`."""
        current = self._current
        if current is not None and current.version == version:
            return current
        with self._lock:
            if version not in self._others:
                loaded = self.load(version)
                while len(self._others) >= _MOST_OTHERS:
                    self._others.pop(next(iter(self._others)))
                self._others[version] = loaded
            return self._others[version]

    def load(self, version: str, *, generation: int = 0) -> LoadedModel:
        """Read and verify a version without keeping it.

        Raises ModelNotFound, ArtifactCorrupt, FeatureSetMismatch or IntervalMismatch.
        """
        manifest, text = self._registry.load(version, MODEL_FILE)
        feature_set = self._matching_set(manifest)
        require_loadable(
            self._registry.directory,
            version,
            manifest.files[MODEL_FILE],
            text,
            feature_set.names,
        )
        return LoadedModel(
            manifest=manifest,
            scorer=parse_scorer(version, MODEL_FILE, text),
            feature_set=feature_set,
            generation=generation,
            novelty=self._novelty(manifest),
        )

    def reload(self) -> LoadedModel:
        """Load the active version again, here and in every other process of the platform.

        Raises NoActiveModel, or why the files are refused; what was loaded then goes on serving.
        """
        with self._lock:
            self._others.clear()
        self._active.touch()
        loaded = self.active()
        if self._refusal:
            raise self._refusal
        return loaded

    @property
    def loaded_version(self) -> str | None:
        """The version that serves now, without looking at the disk."""
        current = self._current
        return current.version if current else None

    @property
    def active_failed_to_load(self) -> bool:
        """Whether the active version was refused, so that an older one serves, or none."""
        return self._refusal is not None

    def _swap(self) -> None:
        with self._lock:
            signature = self._signature()
            if not self._outdated(signature):
                return
            try:
                active = self._active.read()
                loaded = self.load(active.version, generation=active.generation) if active else None
            except MlengineError as refusal:
                self._refuse(refusal, again=signature == self._loaded_signature)
            else:
                self._current, self._refusal = loaded, None
                self._states.record("model", "ok" if loaded else "unknown")
            self._loaded_signature = signature

    def _refuse(self, refusal: MlengineError, *, again: bool) -> None:
        if not (again and str(refusal) == str(self._refusal)):
            log.error("active model refused", extra={"reason": str(refusal)})
        self._refusal, self._refused_at = refusal, self._timer()
        if isinstance(refusal, ArtifactCorrupt | ModelNotFound):
            self._current = self._current or self._previous()
        self._states.record("model", "degraded" if self._current else "down")

    def _previous(self) -> LoadedModel | None:
        """What served before the active version, for a process that has nothing else."""
        active = self._active.read_or_none()
        if active is None or active.previous_version is None:
            return None
        try:
            return self.load(active.previous_version)
        except MlengineError:
            return None

    def _outdated(self, signature: Signature | None) -> bool:
        """Whether `ACTIVE` is another one, or its version was refused some seconds ago."""
        if signature != self._loaded_signature:
            return True
        return self._refusal is not None and self._timer() - self._refused_at >= _RETRY_SECONDS

    def _signature(self) -> Signature | None:
        try:
            return self._active.signature()
        except OSError:
            return _UNREADABLE

    def _novelty(self, manifest: Manifest) -> NoveltyReference | None:
        """None for a version from before there was one; raises ArtifactCorrupt."""
        if NOVELTY_FILE not in manifest.files:
            return None
        content = self._registry.read(manifest.version, NOVELTY_FILE)
        try:
            arrays = array_files.from_archive(content)
            return novelty_of_arrays(arrays, features=len(manifest.feature_set.features))
        except (DamagedFile, DamagedArchive):
            reason = f"{NOVELTY_FILE} is not what a training writes"
            raise ArtifactCorrupt(manifest.version, reason) from None

    def _matching_set(self, manifest: Manifest) -> FeatureSet:
        if manifest.interval != self._interval:
            raise IntervalMismatch(manifest.version, manifest.interval, self._interval)
        return require_feature_set(self._feature_sets, manifest)


def require_feature_set(feature_sets: Mapping[str, FeatureSet], manifest: Manifest) -> FeatureSet:
    """The feature set of a version; raises FeatureSetMismatch where it is gone or another."""
    trained = manifest.feature_set
    served = variants.find(feature_sets, trained.name)
    if served is None or served.hash != trained.hash:
        raise FeatureSetMismatch(
            manifest.version, trained.name, trained.hash, served.hash if served else None
        )
    return served


def parse_scorer(version: str, name: str, text: bytes) -> Scorer:
    """The model in the file `name` of a version; raises ArtifactCorrupt."""
    try:
        return Scorer.from_text(text.decode())
    except ValueError:
        raise ArtifactCorrupt(version, f"{name} is not a LightGBM model") from None
