"""Signals: the panel of what models said of their universe at each bar."""

from typing import cast

from flask import Blueprint, Response, g, request, url_for

from mlengine.core.signals.signal import TableFormat
from mlengine.services.signals.exports import request_export
from mlengine.stores.signals.formats import to_format
from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT, CHANGED_MODEL
from mlengine.web.http.requests import (
    asked_line,
    asked_line_name,
    load_query,
    platform,
    request_time,
)
from mlengine.web.http.responses import Body, json_response
from mlengine.web.schemas.signals.answers import (
    JSON_FORMAT,
    MEDIA_TYPES,
    SIGNALS,
    AcceptedExport,
    panel_body,
)
from mlengine.web.schemas.signals.queries import SignalsQuery

MOST_ROWS = 50_000
_RETRY_SECONDS = 2

blueprint = Blueprint("signals", __name__, url_prefix="/signals")

_QUERY = SignalsQuery()


@blueprint.get("")
@open_by_default("read")
@says(
    query=_QUERY,
    answers={200: SIGNALS, 202: AcceptedExport},
    problems=("model_not_found", *CHANGED_MODEL, *AUDIT),
)
def signals() -> Response | tuple[Body, int, dict[str, str]]:
    """The panel of signals, date by symbol.

    One row a bar and symbol, in this order: what the champion of that bar said when the bar was
    final (`source` is `scheduled`; see `SIGNALS` in docs/signals.md), else what training says of
    the past. `out_of_fold` is the score of a fold's model, which had not seen the row, `holdout`
    that of the candidate; both are of the version in `history`, which serves, or served at `as_of`.
    With `version` all rows are of that one, and so are those that it gave after another one had
    taken its place: the workers score with the champion and the one before it.

    `as_of` gives what was known then: signals that were given by then, and the past as the version
    that served then had it. `pending` counts symbols of which a planned bar has no signal yet. A
    symbol whose bar did not come in time has an `error` and no score. `out_of_fold` of `history` is
    false for a version that was trained before its folds' scores were kept.

    More than 50,000 rows are written by a worker: 202, and `Location` says where its state is. The
    file is Parquet, unless `format` is `csv` or `arrow`.
    """
    query, line = load_query(_QUERY), asked_line()
    table_format = query["format"] or _accepted_format()
    panel = line.signals.panel(query["asked"], most_rows=MOST_ROWS)
    if panel is None and request.method == "HEAD":  # which has no effect
        return Response(status=202)
    if panel is None:
        wanted = "parquet" if table_format == JSON_FORMAT else table_format
        export = request_export(
            platform().control.signal_exports,
            asked_line_name(),
            query["asked"],
            cast("TableFormat", wanted),
            now=request_time(),
        )
        location = url_for(".export", export_id=export.id)
        g.retry_after_seconds = _RETRY_SECONDS
        accepted = {"export_id": export.id, "state": export.state}
        return accepted, 202, {"Location": location}
    if table_format == JSON_FORMAT:
        response = json_response(panel_body(panel))
    else:
        content = to_format(panel.rows, cast("TableFormat", table_format))
        response = Response(content, mimetype=MEDIA_TYPES[table_format])
    response.vary.add("Accept")
    return response


def _accepted_format() -> str:
    kinds = {kind: name for name, kind in MEDIA_TYPES.items()}
    best = request.accept_mimetypes.best_match(list(kinds), default=MEDIA_TYPES[JSON_FORMAT])
    return kinds[best]
