"""The panel of signals, date by symbol: what was said at each bar, and of the past before."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from mlengine.core.signals.panel import merge_panels
from mlengine.core.signals.signal import SignalQuery, TableFormat
from mlengine.errors import CannotWrite
from mlengine.services.signals.history import HistoryReader
from mlengine.stores.signals.formats import to_format
from mlengine.stores.signals.store import SignalStore
from mlengine.stores.system import atomic_files

MOST_WRITTEN_ROWS = 2_000_000
TOO_LONG = f"it has more than {MOST_WRITTEN_ROWS} rows: ask for a shorter range"


@dataclass(frozen=True, eq=False)
class SignalPanel:
    """`rows` by bar and symbol; see Signal for its columns.

    `history_version` is the version whose training tells of the past, and `history_has_folds`
    whether its folds do, or its holdout alone. Of `pending` symbols something is to be said yet.
    """

    model: str
    as_of: datetime | None
    history_version: str | None
    history_has_folds: bool
    pending: int
    rows: pl.DataFrame


@dataclass(frozen=True)
class SignalService:
    """Reads the signals of one line."""

    line: str
    store: SignalStore
    history: HistoryReader
    canonical: Callable[[str], str]

    def write(self, asked: SignalQuery, path: Path, table_format: TableFormat) -> int:
        """Write what is asked for to a file, whole or not at all; returns how many rows.

        Raises as `panel`, and CannotWrite.
        """
        panel = self.panel(asked, most_rows=MOST_WRITTEN_ROWS)
        if panel is None:
            raise CannotWrite(str(path), TOO_LONG)
        try:
            atomic_files.replace_file(path, to_format(panel.rows, table_format))
        except OSError as error:
            raise CannotWrite(str(path), atomic_files.describe_error(error)) from error
        return panel.rows.height

    def panel(self, asked: SignalQuery, *, most_rows: int) -> SignalPanel | None:
        """What is asked for, None where it has more than `most_rows` rows.

        A symbol may be asked for by an alias. Raises ModelNotFound or DatabaseUnavailable, and as
        `ModelLoader.active` does but where nothing serves.
        """
        if asked.symbol is not None:
            asked = replace(asked, symbol=self.canonical(asked.symbol))
        history = self.history.read(asked)
        scheduled = self.store.read(self.line, asked, limit=most_rows + 1)
        rows = merge_panels(scheduled, history.panel) if history else scheduled
        if rows.height > most_rows:
            return None
        return SignalPanel(
            model=self.line,
            as_of=asked.as_of,
            history_version=history.version if history else None,
            history_has_folds=history is not None and history.has_folds,
            pending=0 if asked.as_of else self.store.pending(self.line, asked),
            rows=rows,
        )
