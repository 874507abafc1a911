"""The document of the application that runs, built when it is first asked for."""

from __future__ import annotations

from typing import cast

from flask import current_app

_DOCUMENT = "mlengine.openapi"


def current_document() -> bytes:
    """Building takes a third of a second, and libraries that nothing else needs."""
    if _DOCUMENT not in current_app.extensions:
        from mlengine.web.openapi.document import build_document  # noqa: PLC0415 - see above

        current_app.extensions[_DOCUMENT] = build_document(current_app)
    return cast("bytes", current_app.extensions[_DOCUMENT])
