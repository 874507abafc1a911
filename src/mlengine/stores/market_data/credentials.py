"""What a service wants to see before it answers, and nobody else may see."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlengine.errors import BadSetting

_HEADER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff])*)"
)
_HEADERS_EXPECTED = "a readable text file with lines `Name: value`"


@dataclass(frozen=True)
class Credentials:
    """Sent with every request; no repr, log line or error shows a value."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: str = field(default="", repr=False)

    def redact(self, text: str) -> str:
        """`text` without any of the values, also where a service repeats them as it writes them."""
        values = {self.key, *self.headers.values(), *self.parameters.values()}
        parts = {part for value in values for part in (value, *value.split()) if len(part) > 3}
        for part in sorted(parts, key=len, reverse=True):
            text = re.sub("".join(map(_written, part)), "…", text, flags=re.IGNORECASE)
        return text


def _written(sign: str) -> str:
    """A pattern of a sign as it is, and as it stands in an address or in JSON."""
    if sign.isalnum():
        return sign
    return rf"(?:\\?{re.escape(sign)}|%{ord(sign):02x}|\\u{ord(sign):04x})"


NO_CREDENTIALS = Credentials()


def read_credentials(
    *,
    key: str | None,
    header: str | None,
    parameter: str | None,
    headers_file: Path | None,
    in_template: bool = False,
) -> Credentials:
    """A key in `header` (as a bearer token without one) or in `parameter`, and a file of headers.

    A key that goes `in_template` of what is asked for goes nowhere else. Raises BadSetting for a
    file that can't be read; it names the line, not what stands there.
    """
    headers = _read_headers(headers_file) if headers_file else {}
    if key is None:
        return Credentials(headers)
    if in_template:
        return Credentials(headers, key=key)
    if parameter is not None:
        return Credentials(headers, {parameter: key}, key)
    if header is None or header.casefold() == "authorization":
        return Credentials({**headers, "Authorization": f"Bearer {key}"}, key=key)
    return Credentials({**headers, header: key}, key=key)


def _read_headers(path: Path) -> dict[str, str]:
    variable = "MARKET_DATA_HEADERS_FILE"
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError:
        raise BadSetting(variable, str(path), _HEADERS_EXPECTED) from None
    headers = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _HEADER.fullmatch(line.strip())
        if match is None:
            raise BadSetting(variable, str(path), f"{_HEADERS_EXPECTED}, also in line {number}")
        headers[match[1]] = match[2]
    return headers
