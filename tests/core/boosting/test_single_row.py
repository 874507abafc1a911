from __future__ import annotations

import threading
import weakref

import lightgbm as lgb
import numpy as np
import pytest
from tests import garbage
from tests.published import tiny_text

from mlengine.core.boosting import single_row as module
from mlengine.core.boosting.model import Scorer
from mlengine.core.boosting.single_row import SingleRowPredictor, single_row

NAMES = tuple(f"f{i}" for i in range(30))


def rows(count: int) -> np.ndarray:
    """Ordinary values, gaps, huge and tiny numbers, and ties with their neighbours in float32."""
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(count, len(NAMES)))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[rng.random(matrix.shape) < 0.02] = 1e18
    matrix[rng.random(matrix.shape) < 0.02] = -0.0
    matrix[rng.random(matrix.shape) < 0.02] = 0.9999999999999999
    matrix[rng.random(matrix.shape) < 0.02] = 0.49999999999999994
    return matrix


@pytest.mark.parametrize("objective", ["direction", "return"])
def test_a_row_alone_has_the_bits_that_it_has_among_thousands(objective: str) -> None:
    scorer = Scorer.from_text(tiny_text(NAMES, objective=objective))
    matrix = rows(5000)
    alone = np.array([scorer.score_row(row) for row in matrix])
    assert isinstance(scorer.score_row, SingleRowPredictor)
    assert alone.tobytes() == scorer.score(matrix).tobytes()


def test_without_the_fast_call_a_plain_one_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, matrix = Scorer.from_text(tiny_text(NAMES)), rows(50)
    monkeypatch.setattr(module, "_INIT", "LGBM_NoSuchCall")
    plain = single_row(scorer.booster, len(NAMES))
    assert not isinstance(plain, SingleRowPredictor)
    assert [plain(row) for row in matrix] == [scorer.score_row(row) for row in matrix]


def test_many_threads_at_once_get_their_own_answers() -> None:
    scorer, matrix = Scorer.from_text(tiny_text(NAMES)), rows(400)
    expected = scorer.score(matrix).tolist()
    wrong: list[int] = []

    def ask() -> None:
        wrong.extend(i for i, row in enumerate(matrix) if scorer.score_row(row) != expected[i])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "row", [np.zeros(29), np.zeros((1, 30)), np.zeros(30, np.float32), np.zeros(60)[::2]]
)
def test_what_is_no_such_row_is_refused(row: np.ndarray) -> None:
    with pytest.raises(ValueError, match="30 contiguous float64"):
        Scorer.from_text(tiny_text(NAMES)).score_row(row)


def test_what_lightgbm_refuses_is_said_in_its_words() -> None:
    booster = lgb.Booster(model_str=tiny_text(NAMES))
    scorer = single_row(booster, len(NAMES) - 1)
    with pytest.raises(ValueError, match="number of features"):
        scorer(np.zeros(29))


def test_a_scorer_that_nobody_needs_is_freed_with_its_configs() -> None:
    scorer = single_row(lgb.Booster(model_str=tiny_text(NAMES)), len(NAMES))
    scorer(np.zeros(30))
    assert isinstance(scorer, SingleRowPredictor)
    gone = weakref.ref(scorer)
    del scorer
    garbage.collect()
    assert gone() is None
