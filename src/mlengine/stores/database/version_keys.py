"""Rows of a model line in tables that know versions by their keys."""

from typing import Any

from sqlalchemy import ColumnElement

from mlengine.core.line_names import MODEL_LINE, key_prefix


def is_of_line(key: ColumnElement[Any], line: str) -> ColumnElement[bool]:
    """Whether the version key in this column is one of the line."""
    if line == MODEL_LINE:
        return key.not_like("%/%")
    return key.startswith(key_prefix(line), autoescape=True)
