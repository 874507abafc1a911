"""The contract of all routes, for machines and for people."""

import hashlib
from typing import Any, cast

from flask import Blueprint, Response, request

from mlengine.web.http.auth import public
from mlengine.web.http.contract import says
from mlengine.web.openapi.live import current_document

blueprint = Blueprint("documents", __name__)


@blueprint.get("/openapi.json")
@public
@says(answers={200: dict[str, Any], 304: None}, headers=("If-None-Match",))
def openapi() -> Response:
    """The contract of all routes, as an OpenAPI 3.1 document.

    With a strong `ETag`: `If-None-Match` is answered with 304 until the platform is another one.
    `mlengine openapi` writes the same document.
    """
    document = current_document()
    response = Response(document, mimetype="application/json")
    response.set_etag(hashlib.sha256(document).hexdigest())
    response.headers["Cache-Control"] = "no-cache"
    return cast("Response", response.make_conditional(request))
