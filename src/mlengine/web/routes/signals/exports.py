"""The files of panels that are too long for an answer."""

from flask import Response, url_for

from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT
from mlengine.web.http.requests import load_query, platform, request_time
from mlengine.web.http.responses import json_response
from mlengine.web.routes.signals.panel import blueprint
from mlengine.web.schemas.fields import RequestSchema
from mlengine.web.schemas.signals.answers import (
    EXPORT,
    FILE_MEDIA_TYPES,
    MEDIA_TYPES,
    export_body,
)
from mlengine.web.schemas.signals.queries import export_id_of_path

_MODEL_QUERY = RequestSchema()


@blueprint.get("/exports/<export_id>")
@open_by_default("read")
@says(query=_MODEL_QUERY, answers={200: EXPORT}, problems=("export_not_found", *AUDIT))
def export(export_id: str) -> Response:
    """How far the file of a long panel is.

    `state` is `queued`, `running`, `ready` or `failed`; `file` is where the file is once it is
    `ready`. It is kept until `expires_at`, for a day.
    """
    load_query(_MODEL_QUERY)
    exports = platform().control.signal_exports
    found = exports.get(export_id_of_path(export_id), now=request_time())
    file = url_for(".export_file", export_id=found.id) if found.state == "ready" else None
    return json_response(export_body(found, file))


@blueprint.get("/exports/<export_id>/file")
@open_by_default("read")
@says(query=_MODEL_QUERY, answers={200: FILE_MEDIA_TYPES}, problems=("export_not_found", *AUDIT))
def export_file(export_id: str) -> Response:
    """The file of a long panel."""
    load_query(_MODEL_QUERY)
    exports = platform().control.signal_exports
    found, parts = exports.open_file(export_id_of_path(export_id), now=request_time())
    headers = {"Content-Length": str(found.bytes)}
    return Response(parts, mimetype=MEDIA_TYPES[found.format], headers=headers)
