"""Reads the outcomes of a version's predictions from bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlengine.core.outcomes.decide import SymbolBars, decide
from mlengine.core.outcomes.labels import labels_of
from mlengine.core.outcomes.outcome import LabelTerms, Outcome, PendingOutcome
from mlengine.core.versions.layout import UNIVERSE_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.services.outcomes.recorded_bars import HeldBars, OutcomeBars
from mlengine.stores.bars.universe import parse_universe
from mlengine.stores.registry.registry import Registry


@dataclass(frozen=True)
class OutcomeReader:
    """Recorded bars first; the upstream is asked where these decide nothing."""

    registry: Registry
    bars: OutcomeBars

    def decide(
        self, manifest: Manifest, pending: Sequence[PendingOutcome], *, now: datetime
    ) -> Iterator[Outcome]:
        """The outcomes that can be told, each by what was known when its bars were asked for."""
        left = list(pending)
        for fetch in (False, True):
            done = list(self._decided(manifest, left, now, fetch=fetch)) if left else []
            yield from done
            ids = {each.id for each in done}
            left = [each for each in left if each.id not in ids]

    def _decided(
        self, manifest: Manifest, pending: Sequence[PendingOutcome], now: datetime, *, fetch: bool
    ) -> Iterator[Outcome]:
        by_symbol: dict[str, list[PendingOutcome]] = defaultdict(list)
        for each in pending:
            by_symbol[each.symbol].append(each)
        terms = label_terms(manifest)
        is_relative = terms.transform != "raw"
        held: dict[str, HeldBars] = {}
        for symbol in _panel(manifest, by_symbol) if is_relative else by_symbol:
            since = min(each.bar_timestamp for each in by_symbol.get(symbol, pending))
            bars = self.bars.read(
                symbol, since=since, adjustment=manifest.data.adjust, now=now, fetch=fetch
            )
            if bars is not None:
                held[symbol] = bars
        if not held:
            return
        members = self._members(manifest) if is_relative else None
        labels = labels_of([each.bars for each in held.values()], terms, members=members)
        for symbol in by_symbol.keys() & held.keys():
            market, known_until = self._market(held[symbol], symbol, terms)
            yield from decide(by_symbol[symbol], market, labels, now=known_until)

    def _market(
        self, held: HeldBars, symbol: str, terms: LabelTerms
    ) -> tuple[SymbolBars, datetime]:
        ends_at = self.bars.service.markets.market(symbol).ends_at
        calendar = self.bars.calendar(symbol, held.bars)
        return SymbolBars(held.bars, calendar, terms, ends_at, held.is_unknown), held.known_until

    def _members(self, manifest: Manifest) -> pl.DataFrame | None:
        if UNIVERSE_FILE not in manifest.files:
            return None
        content = self.registry.read(manifest.version, UNIVERSE_FILE)
        return parse_universe(content, name=UNIVERSE_FILE).members


def label_terms(manifest: Manifest) -> LabelTerms:
    """What a version was trained to forecast."""
    return LabelTerms(
        manifest.objective,
        manifest.horizon_bars,
        manifest.label_delay_bars,
        manifest.interval,
        manifest.label.transform,
    )


def _panel(manifest: Manifest, symbols: Collection[str]) -> list[str]:
    """All symbols that a label is relative to."""
    return sorted({*manifest.data.symbols, *manifest.data.holdout_only_symbols, *symbols})
