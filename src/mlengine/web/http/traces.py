"""The trace of a request: that of its `traceparent`, else one of its own."""

from http import HTTPStatus

from flask import g, request

from mlengine import logs
from mlengine.core.trace_context import TraceContext, is_trace_id, parse_traceparent
from mlengine.stores.system import spans
from mlengine.stores.system.current_trace import current_trace, new_span_id, new_trace_id


def begin(request_id: str) -> None:
    """Take or make the trace; every log line and every call to a service then says it."""
    sent = request.headers.get("traceparent")
    trace = parse_traceparent(sent, request.headers.get("tracestate", "")) if sent else None
    g.trace = trace or TraceContext(own_trace_id(request_id))
    current_trace.set(g.trace)
    logs.trace_id.set(g.trace.trace_id)
    _start_span()


def end(status: int) -> None:
    """End the span of the request, if there is one."""
    span: spans.Span | None = g.pop("span", None)
    if span:
        attributes = {"http.response.status_code": status}
        span.end(attributes, failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def forget() -> None:
    current_trace.set(None)
    logs.trace_id.set(None)


def _start_span() -> None:
    if not spans.are_recorded():
        return
    rule = request.url_rule
    attributes = {"http.request.method": request.method, "url.path": request.path}
    if rule:
        attributes["http.route"] = rule.rule
    name = f"{request.method} {rule.rule}" if rule else request.method
    g.span = spans.start("server", name, attributes)
    if g.span:
        g.trace = g.span.trace
        current_trace.set(g.trace)


def own_trace_id(request_id: str) -> str:
    """Of a request that came in no trace: its id where that can name one, as ours do."""
    return request_id if is_trace_id(request_id) else new_trace_id()


def audited_trace_id(trace_id: str, request_id: str) -> str | None:
    """What the audit keeps of it: None where the id of the request says it already."""
    return None if trace_id == request_id else trace_id


def traceparent_of_run() -> str:
    """What a run that this request starts goes on with."""
    trace: TraceContext = g.trace
    return trace.traceparent(trace.parent_id or new_span_id())
