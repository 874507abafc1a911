"""What Prometheus scrapes."""

from flask import Blueprint, Response

from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.requests import platform, request_time
from mlengine.web.http.telemetry import prometheus_text

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@open_by_default("read")
@says(answers={200: prometheus_text.MEDIA_TYPE})
def metrics() -> Response:
    """Counters and gauges in the text format of Prometheus.

    Any web worker answers for all processes of its machine, those that have ended included.
    docs/operations.md has a table of all metrics. Where the database can't be read,
    `mlengine_database_up` is 0 and what it holds is left out.
    """
    samples = platform().metrics.samples(now=request_time())
    return Response(prometheus_text.encode(samples), content_type=prometheus_text.CONTENT_TYPE)
