"""All feature sets of the platform: the built-in ones and the user's own, by name.

A user's own come from Python modules with a sequence `FEATURE_SETS`: those that installed
packages name in the entry point group `mlengine.feature_sets`, and those of the setting
`FEATURE_SETS`.
"""

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import entry_points
from operator import attrgetter
from types import ModuleType

from mlengine.bootstrap import ENTRY_POINT_GROUP
from mlengine.core.features import BUILTIN, FeatureSet
from mlengine.errors import BadSetting

SETTING = "FEATURE_SETS"

# What `/features?feature_set=` takes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EXPECTED = "a module that can be imported and has a sequence FEATURE_SETS"


def load_feature_sets(modules: Sequence[str], *, wanted: str = "core") -> dict[str, FeatureSet]:
    """The built-in sets, those of entry points and those of `modules`, by name.

    Raises BadSetting, which names where a set comes from, for a module that can't be imported,
    holds no feature sets, or holds another set under a name that is taken; and when there is no
    set `wanted`.
    """
    sets = dict(BUILTIN)
    for variable, value, load in _sources(modules):
        for feature_set in _load(variable, value, load):
            name = feature_set.name
            if not _NAME.fullmatch(name):
                raise BadSetting(variable, value, f"a set named {_NAME.pattern}, not {name!r}")
            if sets.setdefault(name, feature_set).hash != feature_set.hash:
                raise BadSetting(variable, value, f"one set named {name!r}, not two")
    if wanted not in sets:
        raise BadSetting("TRAIN_FEATURE_SET", wanted, f"one of {', '.join(sorted(sets))}")
    return sets


def _sources(modules: Sequence[str]) -> Iterator[tuple[str, str, Callable[[], object]]]:
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=attrgetter("name", "value")):
        yield f"{ENTRY_POINT_GROUP} {entry.name}", entry.value, entry.load
    for name in modules:
        yield SETTING, name, partial(importlib.import_module, name)


def _load(variable: str, value: str, load: Callable[[], object]) -> tuple[FeatureSet, ...]:
    """The sets of what `load` returns: a module with the sequence, or the sequence itself.

    A user's module may raise anything: the operator sees one line of it.
    """
    try:
        loaded = load()
        sets = tuple(loaded.FEATURE_SETS if isinstance(loaded, ModuleType) else loaded)  # type: ignore[arg-type]
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadSetting(variable, value, f"{_EXPECTED} ({reason})") from None
    for feature_set in sets:
        if not isinstance(feature_set, FeatureSet):
            raise BadSetting(variable, value, f"FeatureSet objects, not {feature_set!r:.64}")
    return sets
