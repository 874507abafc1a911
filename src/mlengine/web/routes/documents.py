"""The contract of all routes, for machines and for people."""

import gzip
import hashlib
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from mlengine import __version__
from mlengine.web.http.auth import open_by_default, public
from mlengine.web.http.contract import says
from mlengine.web.http.intermediaries.compression import takes_gzip
from mlengine.web.http.responses import Body
from mlengine.web.openapi import page_files
from mlengine.web.openapi.live import current_document
from mlengine.web.schemas.documents import LINKS, Home

blueprint = Blueprint("documents", __name__)


@blueprint.get("/", strict_slashes=False)
@public
@says(answers={200: Home})
def home() -> Body:
    """What this is, and where to go on.

    `links` are paths on this server, with the prefix of the proxies in front.
    """
    root = f"{request.script_root}{request.path.rstrip('/')}"
    links = {name: f"{root}{path}" for name, path in LINKS.items()}
    return {"name": "ML Engine Platform", "version": __version__, "links": links}


@blueprint.get("/openapi.json")
@open_by_default("read")
@says(answers={200: dict[str, Any], 304: None}, headers=("If-None-Match",))
def openapi() -> Response:
    """The contract of all routes, as an OpenAPI 3.1 document.

    With a strong `ETag`: `If-None-Match` is answered with 304 until the platform is another one.
    `mlengine openapi` writes the same document.
    """
    return _tagged(Response(current_document(), mimetype="application/json"))


@blueprint.get("/docs")
@open_by_default("read")
@says(answers={200: "text/html", 304: None}, headers=("If-None-Match",))
def docs() -> Response:
    """A page to read the contract on, and to try it.

    Everything on it comes from this server, under a strict `Content-Security-Policy`.
    """
    response = Response(page_files.page(), mimetype="text/html")
    response.headers["Content-Security-Policy"] = page_files.CONTENT_POLICY
    return _tagged(response)


@blueprint.get("/docs/<page_file>")
@open_by_default("read")
@says(answers={200: ("text/javascript", "text/css"), 304: None}, headers=("If-None-Match",))
def docs_file(page_file: str) -> Response:
    """A file of that page: Swagger UI.

    As gzip where the client takes it.
    """
    if page_file not in page_files.MEDIA_TYPES:
        raise NotFound
    packed, is_gzip = page_files.compressed(page_file), takes_gzip()
    response = Response(
        packed if is_gzip else gzip.decompress(packed),
        mimetype=page_files.MEDIA_TYPES[page_file],
    )
    if is_gzip:
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return _tagged(response)


def _tagged(response: Response) -> Response:
    """To be asked for again each time."""
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest())
    response.headers["Cache-Control"] = "no-cache"
    return response
