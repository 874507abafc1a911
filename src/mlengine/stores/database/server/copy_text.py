"""Rows in the text format of PostgreSQL's COPY."""

from collections.abc import Sequence

# https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
)


def copy_text(rows: Sequence[Sequence[object]]) -> bytes:
    """One line a row; floats in the shortest form that gives every bit back."""
    lines = ["\t".join([_field(value) for value in row]) for row in rows]
    lines.append("")
    return "\n".join(lines).encode()


def _field(value: object) -> str:
    """A string, a number, a truth, bytes, or nothing."""
    if value is None:
        return r"\N"
    if type(value) is str:
        return value if value.isalnum() else value.translate(_ESCAPES)
    if type(value) is bytes:
        return rf"\\x{value.hex()}"
    if value is True:
        return "t"
    return "f" if value is False else repr(value)
