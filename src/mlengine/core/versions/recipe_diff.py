"""In what the recipes of two versions differ, field by field of their manifests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlengine.core.versions.manifest import Manifest

# What a version is made by, and what it was made from.
_RECIPE = (
    "spec",
    "label",
    "feature_set",
    "data",
    "split",
    "seed",
    "params",
    "num_threads",
    "rounds",
    "early_stopping_rounds",
    "best_iteration",
    "served",
    "libraries",
)


@dataclass(frozen=True)
class RecipeDiff:
    """A field such as `params.max_bin`, and what each manifest has there; null for nothing."""

    field: str
    a: object
    b: object


def recipe_diff(a: Manifest, b: Manifest) -> tuple[RecipeDiff, ...]:
    """Every field in which they differ, in the order of the manifest."""
    first, second = _flat(a), _flat(b)
    return tuple(
        RecipeDiff(name, first.get(name), second.get(name))
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    )


def _flat(manifest: Manifest) -> dict[str, object]:
    fields = manifest.to_dict()
    return dict(_leaves({name: fields[name] for name in _RECIPE}, ""))


def _leaves(fields: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """`{"params": {"max_bin": 63}}` as `params.max_bin`; lists stay whole."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
