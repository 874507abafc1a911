"""The settings of signals: which lines are scored at every bar, and how."""

from dataclasses import dataclass

from mlengine.config.env_reader import EnvReader
from mlengine.core.line_names import is_line_name
from mlengine.errors import BadSetting


@dataclass(frozen=True)
class SignalSettings:
    """`lines` are scored by the workers of this host; a bar is waited for `wait_seconds`."""

    lines: tuple[str, ...]
    slice_symbols: int
    wait_seconds: int


def signal_settings(read: EnvReader) -> SignalSettings:
    """What the variables SIGNALS… say; raises BadSetting."""
    lines = read.comma_list("SIGNALS")
    if not all(map(is_line_name, lines)):
        raise BadSetting("SIGNALS", ",".join(lines), "by comma, names of model lines")
    return SignalSettings(
        lines=tuple(dict.fromkeys(lines)),
        slice_symbols=read.integer("SIGNALS_SLICE_SYMBOLS", 500, 1, 5_000),
        wait_seconds=read.integer("SIGNALS_WAIT_SECONDS", 3_600, 0, 604_800),
    )
