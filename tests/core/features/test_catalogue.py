from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.core.features.planted import HONEST, a_set

from mlengine.core.features import BUILTIN
from mlengine.core.features.catalogue import catalogue_markdown, format_value_range

PAGE = Path(__file__).parents[3] / "docs" / "features.md"


def test_the_page_of_the_features_is_that_of_the_declarations() -> None:
    made = catalogue_markdown(BUILTIN.values())
    assert PAGE.read_text() == made, "run `mlengine features list --markdown > docs/features.md`"


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (None, None, "any"),
        (-1.0, None, "≥ -1"),
        (None, 0.0, "≤ 0"),
        (-4.35889894, 1.0, "-4.3589 to 1"),
    ],
)
def test_a_range_is_an_interval(low: float | None, high: float | None, shown: str) -> None:
    assert format_value_range(dataclasses.replace(HONEST, low=low, high=high)) == shown


def test_a_feature_is_a_row_of_eight_cells() -> None:
    odd = dataclasses.replace(HONEST, formula="close | open", high=2.0, scale_free=False)
    page = catalogue_markdown([a_set("odd", odd), a_set("empty")])
    row = next(line for line in page.splitlines() if line.startswith("| `honest`"))
    assert row == r"| `honest` | A test. | `close \| open` | 6 | none | ≤ 2 | no | test |"
    assert "## `odd`" in page
    assert "## `empty`" in page
    assert "window 30 bars" in page
