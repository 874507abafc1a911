"""Spans by OpenTelemetry's SDK, which reads its `OTEL_` variables itself. The extra `[otel]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState

from mlengine.core.trace_context import TraceContext
from mlengine.stores.system.current_trace import current_trace
from mlengine.stores.system.spans import Kind

_EXPORTERS = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}
_KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}


class OtelSpans:
    """Hands ended spans to `exporters` in the background, and at the end of the process."""

    def __init__(self, exporters: Sequence[str], version: str) -> None:
        named = Resource({"service.name": "mlengine", "service.version": version})
        resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, id_generator=_OwnTraceIds())
        for name in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(_EXPORTERS[name]()))
        self._tracer = self._provider.get_tracer("mlengine", version)

    def start(
        self, kind: Kind, name: str, parent: TraceContext, attributes: Mapping[str, str | int]
    ) -> OtelSpan:
        """A child of the span that `parent` names, else the root of its trace."""
        span = self._tracer.start_span(
            name, context=_context(parent), kind=_KINDS[kind], attributes=attributes
        )
        return OtelSpan(span, parent)

    def flush(self) -> None:
        self._provider.force_flush()


class OtelSpan:
    def __init__(self, span: trace.Span, parent: TraceContext) -> None:
        self._span = span
        made = span.get_span_context()
        span_id, flags = trace.format_span_id(made.span_id), f"{made.trace_flags:02x}"
        self.trace = TraceContext(parent.trace_id, span_id, flags, parent.state)

    def end(self, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        self._span.set_attributes(dict(attributes))
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class _OwnTraceIds(RandomIdGenerator):
    """The trace of a request that came in none is the one that its log lines name."""

    def generate_trace_id(self) -> int:
        own = current_trace.get()
        return int(own.trace_id, 16) if own else super().generate_trace_id()


def _context(parent: TraceContext) -> Context:
    if parent.parent_id is None:
        return Context()
    caller = SpanContext(
        int(parent.trace_id, 16),
        int(parent.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.flags, 16)),
        trace_state=TraceState.from_header([parent.state] if parent.state else []),
    )
    return trace.set_span_in_context(NonRecordingSpan(caller), Context())
