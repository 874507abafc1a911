import dataclasses

import polars as pl
from tests.core.small_features import SMALL, SPEC
from tests.factories import panel

from mlengine.core.training.dataset import build
from mlengine.core.training.row_plan import plan_rows
from mlengine.core.training.split_roles import split_role_table

DATASET = build(panel(2, rows=120), SMALL, horizon_bars=5, objective="direction")


def _table(**change):
    spec = dataclasses.replace(SPEC, **change)
    return split_role_table(DATASET, plan_rows(DATASET, spec)).collect(), plan_rows(DATASET, spec)


def _rows(table, fold, role):
    keys = DATASET.frame.select("symbol", "timestamp").with_row_index("row")
    chosen = table.filter(fold=fold, role=role)
    return chosen.join(keys, on=["symbol", "timestamp"])["row"].to_list()


def test_a_row_has_one_line_for_every_fold_that_it_is_part_of():
    table, cuts = _table()
    assert table.columns == [
        "symbol", "timestamp", *SMALL.names, "label", "forward_return", "label_ends", "fold", "role"
    ]  # fmt: skip
    assert not table.select("symbol", "timestamp", "fold").is_duplicated().any()
    for fold, stage in enumerate([cuts.candidate, *cuts.folds]):
        assert _rows(table, fold, "fit") == stage.fit.tolist()
        assert _rows(table, fold, "stop") == stage.early_stop.tolist()
        assert _rows(table, fold, "test" if fold else "holdout") == stage.test.tolist()
        purged = sorted([*stage.purged_train, *stage.purged_early_stop])
        assert _rows(table, fold, "purged") == purged
    assert table["fold"].unique().to_list() == [0, 1, 2]


def test_every_row_has_its_part_in_the_candidates_split():
    table, _ = _table()
    assert table.filter(fold=0).height == DATASET.frame.height
    roles = table.filter(fold=0)["role"].value_counts().rows()
    # 110 dates of two symbols: 22 held out, 4 purged, 13 of the other 84 to stop on, 4 purged.
    assert dict(roles) == {"holdout": 44, "purged": 16, "stop": 26, "fit": 134}


def test_rows_before_a_rolling_window_have_no_part():
    table, cuts = _table(train_window=40)
    assert table.filter(fold=0)["timestamp"].n_unique() == 40 + 22
    assert _rows(table, 0, "fit") == cuts.candidate.fit.tolist()


def test_features_and_labels_are_those_of_the_dataset():
    table, _ = _table(folds=0)
    columns = [c for c in table.columns if c not in ("fold", "role")]
    assert table.select(columns).equals(DATASET.frame.select(columns))
    assert table["fold"].dtype == pl.Int32
