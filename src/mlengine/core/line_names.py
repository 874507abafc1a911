"""Names of model lines, and of versions over all lines.

A version is `v3` of its line. The database tells the versions of lines apart by keys: `v3` of
`main`, `momentum/v3` of `momentum`.
"""

import re

MODEL_LINE = "main"

LINE_RULE = "a small letter, then at most 31 small letters, digits and hyphens"
LINE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SEPARATOR = "/"


def is_line_name(text: str) -> bool:
    """See LINE_RULE."""
    return LINE_NAME.fullmatch(text) is not None


def key_prefix(line: str) -> str:
    """What all version keys of a line begin with; nothing for `main`."""
    return "" if line == MODEL_LINE else f"{line}{_SEPARATOR}"


def version_key(line: str, version: str) -> str:
    """The key of a version of a line.

    >>> version_key("momentum", "v3"), version_key("main", "v3")
    ('momentum/v3', 'v3')
    """
    return f"{key_prefix(line)}{version}"


def split_version_key(key: str) -> tuple[str, str]:
    """The line and the version.

    >>> split_version_key("momentum/v3"), split_version_key("v3")
    (('momentum', 'v3'), ('main', 'v3'))
    """
    line, separator, version = key.rpartition(_SEPARATOR)
    return (line, version) if separator else (MODEL_LINE, version)
