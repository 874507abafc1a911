"""Panels that are too long for an answer: asked for over HTTP, written by a worker."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from mlengine.core.signals.signal import SignalExport, SignalQuery, TableFormat
from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.services.signals.lease import LEASE_SECONDS, kept
from mlengine.services.signals.panel import MOST_WRITTEN_ROWS, TOO_LONG, SignalService
from mlengine.stores.signals.exports import ExportStore
from mlengine.stores.signals.formats import to_format

log = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=1)


def request_export(
    store: ExportStore, model: str, asked: SignalQuery, table_format: TableFormat, *, now: datetime
) -> SignalExport:
    """Have a worker write a panel; raises DatabaseUnavailable."""
    return store.request(
        SignalExport(
            id=uuid4().hex,
            model=model,
            query=asked,
            format=table_format,
            state="queued",
            requested_at=now,
            expires_at=now + KEPT_FOR,
        )
    )


@dataclass(frozen=True)
class ExportWriter:
    """`signals_of` reads the signals of a line by its name."""

    store: ExportStore
    signals_of: Callable[[str], SignalService]
    clock: Callable[[], datetime]
    holder: str

    def work(self) -> int:
        """Write what is asked for; returns how many files. Raises DatabaseUnavailable."""
        count = 0
        while export := self._claim():
            try:
                with kept(partial(self._renew, export)):
                    self._write(export)
            except DatabaseUnavailable:
                raise
            except MlengineError as error:
                self._fail(export, str(error))
            count += 1
        return count

    def _claim(self) -> SignalExport | None:
        return self.store.claim(self.holder, now=self.clock(), lease_seconds=LEASE_SECONDS)

    def _renew(self, export: SignalExport) -> bool:
        return self.store.renew(
            export.id, self.holder, now=self.clock(), lease_seconds=LEASE_SECONDS
        )

    def _write(self, export: SignalExport) -> None:
        signals = self.signals_of(export.model)
        panel = signals.panel(export.query, most_rows=MOST_WRITTEN_ROWS)
        if panel is None:
            self._fail(export, TOO_LONG)
            return
        content = to_format(panel.rows, export.format)
        rows = panel.rows.height
        self.store.write(export.id, self.holder, content, rows=rows, at=self.clock())
        log.info("panel written", extra={"export": export.id, "rows": rows, "bytes": len(content)})

    def _fail(self, export: SignalExport, reason: str) -> None:
        log.warning("panel not written", extra={"export": export.id, "reason": reason})
        self.store.fail(export.id, self.holder, reason=reason, at=self.clock())
