"""The trace that a run goes on with."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlengine import logs
from mlengine.core.runs.run import Run
from mlengine.core.trace_context import TraceContext, parse_traceparent
from mlengine.stores.system.current_trace import current_trace, new_trace_id
from mlengine.stores.system.spans import span


@contextmanager
def traced(run: Run) -> Iterator[None]:
    """Within this block, lines and calls to services say the trace that asked for the run.

    A run that nobody asked for has a trace of its own.
    """
    trace = parse_traceparent(run.traceparent or "") or TraceContext(new_trace_id())
    token = current_trace.set(trace)
    try:
        attributes = {"mlengine.run_id": run.run_id, "mlengine.run_kind": run.kind}
        with logs.bound_ids(trace=trace.trace_id), span("consumer", run.kind, attributes):
            yield
    finally:
        current_trace.reset(token)
