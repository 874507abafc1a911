"""The page of the document: Swagger UI 5.35.0 (Apache-2.0), as `npm pack swagger-ui-dist` has it.

Its two files lie here as gzip, which is what most clients get; `page/LICENSE` has the licences.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Nothing foreign, nothing inline: the page loads what this server has, and asks this server alone.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MEDIA_TYPES: Mapping[str, str] = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_FOLDER = Path(__file__).with_name("page")


@cache
def page() -> bytes:
    return (_FOLDER / "index.html").read_bytes()


@cache
def compressed(name: str) -> bytes:
    """A file of MEDIA_TYPES, as gzip."""
    packed = _FOLDER / f"{name}.gz"
    if packed.exists():
        return packed.read_bytes()
    return gzip.compress((_FOLDER / name).read_bytes(), mtime=0)
