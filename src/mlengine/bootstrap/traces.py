"""Whether spans are recorded in this process."""

import logging

from mlengine import __version__
from mlengine.config import Settings
from mlengine.stores.system import spans

log = logging.getLogger(__name__)


def record_spans(settings: Settings) -> None:
    """Record them where an exporter is set and the extra `[otel]` is installed; else nothing.

    Must come after a fork: it starts a thread.
    """
    if not settings.trace_exporters:
        return
    try:
        from mlengine.stores.system.otel_spans import OtelSpans  # noqa: PLC0415 - the extra [otel]
    except ImportError:
        log.warning("no spans are recorded", extra={"reason": "the extra [otel] is not installed"})
        return
    spans.record_with(OtelSpans(settings.trace_exporters, __version__))
