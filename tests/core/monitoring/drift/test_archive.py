"""What is stored is read back to the bit, and what is anything else is refused."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from tests.core.monitoring.drift.panels import NAMES, PanelRows, panel

from mlengine.core.monitoring.drift.archive import (
    Arrays,
    DamagedArchive,
    arrays_of_model,
    arrays_of_novelty,
    model_of_arrays,
    novelty_of_arrays,
)
from mlengine.core.monitoring.drift.model_reference import ModelReference
from mlengine.core.monitoring.drift.reference import build_reference
from mlengine.core.monitoring.novelty import build_novelty
from mlengine.stores.system import array_files
from mlengine.stores.system.strict_files import DamagedFile


@pytest.fixture(scope="module")
def model() -> ModelReference:
    rows = panel(500)
    scores = PanelRows(np.random.default_rng(1).random((4000, 1)), rows.dates, rows.symbols)
    return ModelReference(
        build_reference(NAMES, rows, window_bars=10),
        build_reference(("prediction",), scores, window_bars=10),
        np.linspace(0.6, 0.7, 40),
    )


def same(one: object, other: object) -> bool:
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))  # type: ignore[arg-type]
    if isinstance(one, np.ndarray):
        return one.shape == np.shape(other) and np.array_equal(one, other)  # type: ignore[arg-type]
    return one == other


def through_bytes(arrays: Arrays) -> Arrays:
    content = array_files.to_archive(arrays)
    assert content == array_files.to_archive(arrays)
    return array_files.from_archive(content)


def test_a_reference_comes_back_to_the_bit(model: ModelReference) -> None:
    again = model_of_arrays(through_bytes(arrays_of_model(model)))
    for name in ("calibrations", "grid", "rows", "rows_a_date", "longest_runs"):
        assert same(getattr(model.features, name), getattr(again.features, name)), name
        assert same(getattr(model.prediction, name), getattr(again.prediction, name)), name
    assert np.array_equal(model.features.total.bins, again.features.total.bins)
    assert np.array_equal(model.losses, again.losses)


def test_without_watched_features_and_losses_it_comes_back_too(model: ModelReference) -> None:
    rows = panel(9)
    none = PanelRows(rows.values[:, :0], rows.dates, rows.symbols)
    bare = ModelReference(build_reference((), none, window_bars=10), model.prediction)
    again = model_of_arrays(through_bytes(arrays_of_model(bare)))
    assert (again.features.grid.names, again.losses) == ((), None)


def test_novelty_comes_back_to_the_bit(model: ModelReference) -> None:
    novelty = build_novelty(panel(500), model.features.grid, np.arange(4))
    again = novelty_of_arrays(through_bytes(arrays_of_novelty(novelty)), features=4)
    assert same(novelty, again)
    with pytest.raises(DamagedArchive):
        novelty_of_arrays(arrays_of_novelty(novelty), features=3)


@pytest.mark.parametrize("change", ["gone", "shape", "type", "nan", "more", "half"])
def test_other_arrays_are_refused(model: ModelReference, change: str) -> None:
    arrays = arrays_of_model(model)
    for name, array in arrays.items():
        damaged = dict(arrays)
        if change == "gone" and name != "losses":
            del damaged[name]
        elif change == "shape":
            damaged[name] = array[..., None]
        elif change == "type":
            damaged[name] = array.astype("U4") if array.dtype.kind != "U" else np.ones(len(array))
        elif change == "nan" and array.dtype.kind == "f" and array.size:
            damaged[name] = np.full_like(array, np.nan)
        elif change == "half" and array.dtype.kind == "f":
            damaged[name] = array.astype(np.float32)
        elif change == "more":
            damaged["another"] = array
        else:
            continue
        with pytest.raises(DamagedArchive):
            model_of_arrays(damaged)


def test_a_file_that_is_cut_or_holds_objects_is_no_archive() -> None:
    content = array_files.to_archive({"one": np.arange(100.0)})
    for end in range(0, len(content), 7):
        with pytest.raises(DamagedFile):
            array_files.from_archive(content[:end])
    for at in range(40, len(content), 5):
        changed = content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
        try:
            array_files.from_archive(changed)
        except DamagedFile:
            continue


def test_a_wide_reference_is_small() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"f{at:03d}" for at in range(158))
    values, dates = rng.normal(size=(450, 158)), np.repeat(np.arange(150), 3)
    rows = PanelRows(values, dates, np.tile(np.arange(3), 150))
    features = build_reference(names, rows, window_bars=60)
    model = ModelReference(features, features, np.ones(40))
    novelty = build_novelty(rows, features.grid, np.arange(158))
    assert len(array_files.to_archive(arrays_of_model(model))) < 700_000
    assert len(array_files.to_archive(arrays_of_novelty(novelty))) < 300_000
