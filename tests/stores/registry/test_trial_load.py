"""Texts that would kill or hang whoever loads them, with digests that are right."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
from tests.mutations import KILLERS, mutated, publish_text, with_field
from tests.platforms import make_platform
from tests.published import tiny_text
from tests.serving import serving

from mlengine.core.boosting.text_shape import require_model_text
from mlengine.core.features import BUILTIN, CORE
from mlengine.errors import ArtifactCorrupt
from mlengine.stores.registry import trial_load
from mlengine.stores.registry.trial_load import require_loadable


def _require(directory: Path, text: str) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()
    require_loadable(directory, "v1", digest, text.encode(), CORE.names)


@pytest.mark.parametrize("objective", ["direction", "return"])
@pytest.mark.parametrize("name", BUILTIN)
def test_what_a_training_writes_has_the_shape(name: str, objective: str) -> None:
    names = BUILTIN[name].names
    require_model_text(tiny_text(names, objective=objective), names)


@pytest.mark.parametrize(("field", "value"), KILLERS)
def test_a_text_that_lies_is_refused_before_it_is_loaded(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^[a-z0-9_ ]+$"):
        require_model_text(with_field(tiny_text(CORE.names), field, value), CORE.names)


def test_a_text_is_tried_once_in_a_process_of_its_own(tmp_path: Path) -> None:
    text, directory = tiny_text(CORE.names, seed=3), tmp_path / "main"
    _require(directory, text)
    assert len([*(tmp_path / ".main-loadable").iterdir()]) == 1
    _require(directory, text)


def test_a_text_that_is_none_is_refused_twice_and_tried_once(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ArtifactCorrupt, match="not a LightGBM model"):
            _require(tmp_path / "main", "tree\nend of trees\n")
    assert not (tmp_path / ".main-loadable").exists()


@pytest.mark.soak
def test_no_mutated_text_kills_a_web_worker(tmp_path: Path) -> None:
    """By `/predict?version=` and by activation, 1,500 texts; each is refused or served."""
    platform = make_platform(tmp_path, models=2)
    directory, text = platform.registry.directory, tiny_text(CORE.names, seed=2)
    statuses: dict[int, int] = {}
    slowest = 0.0
    with serving(tmp_path, ready="/predict?symbol=AAA") as server:
        workers = set(server.workers())
        for seed in range(1_500):
            version = f"v{seed + 3}"  # one that no worker has in memory
            publish_text(directory, version, mutated(text, seed))
            if seed % 2:
                answer = server.ask(f"/predict?symbol=AAA&version={version}")
            else:
                answer = server.ask(f"/models/activate/{version}", method="POST")
                server.ask("/models/activate/v1", method="POST")
            shutil.rmtree(directory / version)
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            slowest = max(slowest, answer.ended - answer.begun)
        assert set(server.workers()) == workers
    sys.stdout.write(f"{statuses}, slowest {slowest:.1f} s, 0 of {len(workers)} workers lost\n")
    assert statuses.keys() <= {200, 503}, statuses
    assert slowest < 35


def test_only_so_many_refusals_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: dict[str, str] = {}
    monkeypatch.setattr(trial_load, "_refused", refused)
    monkeypatch.setattr(trial_load, "_MOST_REFUSED", 2)
    for number in range(3):
        with pytest.raises(ArtifactCorrupt):
            _require(tmp_path / "main", f"no tree {number}")
    assert list(refused) == [hashlib.sha256(b"no tree 2").hexdigest()]
