"""The document of the application that runs, built when it is first asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import orjson
from flask import current_app, request

_DOCUMENT = "mlengine.openapi"


def current_document() -> bytes:
    """Building takes a third of a second, and libraries that nothing else needs."""
    if _DOCUMENT not in current_app.extensions:
        from mlengine.web.openapi.document import build_document  # noqa: PLC0415 - see above

        current_app.extensions[_DOCUMENT] = build_document(current_app)
    document = cast("bytes", current_app.extensions[_DOCUMENT])
    return _below(document, request.script_root) if request.script_root else document


@lru_cache(maxsize=8)
def _below(document: bytes, prefix: str) -> bytes:
    """`document` of a platform whose routes clients find below `prefix`."""
    parsed = orjson.loads(document)
    for server in parsed["servers"]:
        server["url"] = prefix + server["url"].rstrip("/")
    return orjson.dumps(parsed, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
