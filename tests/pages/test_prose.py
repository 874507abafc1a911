"""Pages that a reader gets through."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest
from tests.pages.markdown import PAGES, ROOT, anchors, code, name_of, sentences


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_median_sentence_has_at_most_eighteen_words(page: Path) -> None:
    lengths = [len(re.findall(r"\S*\w\S*", each)) for each in sentences(page.read_text())]
    assert median(lengths) <= 18


def test_the_readme_has_fewer_than_fifteen_hundred_words() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 1500


PAGE = """# One: a `page`

First sentence. A [second one](there.md) of `a b`, no more! And
a third, of
5. The end.

- An item
  of two lines.
1. Another.

```sh
no prose here. None.  # a remark
```

| a | table. With `sentences`. |

## One: a page
"""


def test_tables_and_code_are_no_prose() -> None:
    assert list(sentences(PAGE)) == [
        "First sentence.",
        "A second one of X, no more!",
        "And a third, of 5.",
        "The end.",
        "An item of two lines.",
        "Another.",
    ]


def test_code_is_read_from_blocks_and_spans() -> None:
    assert list(code(PAGE)) == ["no prose here. None.", "page", "a b", "sentences"]


def test_equal_headings_have_different_anchors() -> None:
    assert anchors(PAGE) == {"one-a-page", "one-a-page-1"}
