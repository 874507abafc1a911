"""Prints which modules and attributes a batch of features adds to a warmed-up process."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from tests.factories import panel

from mlengine.core.bars.bars import RAW_SCHEMA, frame_of
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.features import CORE, latest
from mlengine.services.predictions.warm_up import warm_up_features


def main() -> None:
    raw = panel(20, rows=64).match_to_schema(RAW_SCHEMA, missing_columns="insert")
    warm_up_features()
    modules, attributes = set(sys.modules), set(vars(CORE))
    cleaned = clean_panel(raw, interval="1d", now=datetime(2024, 6, 1, tzinfo=UTC))
    table = latest(frame_of([each.arrays for each in cleaned.values()]), CORE)
    assert table.height == 20
    assert table["rsi_14"].null_count() == 0
    print(sorted(set(sys.modules) - modules), sorted(set(vars(CORE)) - attributes))


if __name__ == "__main__":
    main()
