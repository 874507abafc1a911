"""What may be printed of a value that can hold a password."""

import re

_USER = re.compile(r"(^(?!\S*://)|://)\S*@")
_SECRET_IN_QUERY = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*", re.I)


def redact(text: str) -> str:
    """`text` without the user, the password and the tokens of an address in it."""
    return _SECRET_IN_QUERY.sub(r"\1…", _USER.sub(r"\1…@", text))
