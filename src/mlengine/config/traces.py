"""Where spans go, by the variables of OpenTelemetry that decide whether there are any."""

from mlengine.config.env_reader import EnvReader
from mlengine.errors import BadSetting

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOL, _HTTP = "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
_EXPORTERS = ("otlp", "console")


def trace_exporters(read: EnvReader) -> tuple[str, ...]:
    """`otlp`, `console`, both, or none, which is the default; raises BadSetting."""
    names = read.comma_list("OTEL_TRACES_EXPORTER")
    endpoints = [name for name in _ENDPOINTS if read.optional(name)]
    protocol = read.text(_PROTOCOL, _HTTP)
    if read.boolean("OTEL_SDK_DISABLED", default=False) or names == ("none",):
        return ()
    if not names:
        names = ("otlp",) if endpoints else ()
    if not {*names} <= {*_EXPORTERS}:
        raise BadSetting("OTEL_TRACES_EXPORTER", ",".join(names), "otlp, console or none")
    if "otlp" in names and protocol != _HTTP:
        raise BadSetting(_PROTOCOL, protocol, f"{_HTTP}: the extra [otel] speaks no other")
    return names
