"""The self-test of a feature set: does every feature keep the window rule, to the last bit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

import numpy as np
import polars as pl

from mlengine.core.features.columns_read import expressions, single_feature_set
from mlengine.core.features.leaks.history_tests import scale_tests
from mlengine.core.features.leaks.invariance_tests import InvarianceTest, invariance_tests
from mlengine.core.features.spec import BAR_COLUMNS, Feature, FeatureSet
from mlengine.core.timestamps import rfc3339

CUTS = 12
# A row beyond the first full window is the least that can be compared.
ROWS_BEYOND_WINDOW = 1

# What it means that a test fails; in the order in which failures are told.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "evaluation": "can't be evaluated",
        "repeat": "has another value each time",
        "future": "changes with bars after its own",
        "window": "changes with bars before its window, or keeps a running state"
        " (rolling_mean, rolling_sum, rolling_std and ewm_mean do)",
        "panel": "changes with the bars of other symbols",
        "scale": "is declared scale_free and changes when all prices, or all volumes, are twice as"
        " large",
        "look-back": "needs more bars than it declares",
        "partial": "has a value before all bars that it declares are there",
        "missing": "has a value although all bars of its window are missing",
    }
)
# Told and not refused: no bar that is served or trained on lacks a value.
ADVICE = frozenset({"missing"})

# How these Polars versions write fills from the future into a serialised expression.
_FILL_FROM_THE_FUTURE = (b"FillNullWithStrategy\x81\xa8Backward", b"Interpolate")
_POLARS_WITH_THESE_FILLS = ("2.1.",)


@dataclass(frozen=True)
class Breach:
    """The first row at which a feature fails a test, and its two values there."""

    feature: str
    test: str
    symbol: str | None
    timestamp: datetime | None
    expected: float | None
    made: float | None
    meaning: str

    def __str__(self) -> str:
        """One line: feature, test, row and what it means."""
        at = f" at {self.symbol} {rfc3339(self.timestamp)}" if self.timestamp else ""
        return f"{self.feature!r} fails the test {self.test!r}{at}: it {self.meaning}"


@dataclass(frozen=True)
class FeatureCheck:
    """A feature with what it breaches, and what it should guard against, at most once a test."""

    feature: str
    breaches: tuple[Breach, ...]
    advice: tuple[Breach, ...]

    @property
    def ok(self) -> bool:
        return not self.breaches


@dataclass(frozen=True)
class LeakReport:
    """The result of each feature of a set, on `rows` bars of `symbols`; `notes` limit it."""

    feature_set: str
    symbols: tuple[str, ...]
    rows: int
    features: tuple[FeatureCheck, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return all(feature.ok for feature in self.features)

    @property
    def breaches(self) -> tuple[Breach, ...]:
        return tuple(breach for feature in self.features for breach in feature.breaches)


def check_for_leaks(
    bars: pl.DataFrame,
    feature_set: FeatureSet,
    *,
    cuts: int = CUTS,
    polars_version: str = pl.__version__,
) -> LeakReport:
    """Test every feature of `feature_set` on `bars`: any symbols, rows in any order.

    `cuts` is how many moments stand for "now": more find a leak that seldom shows. A note says
    where fills from the future may go unseen, for a Polars version that was never verified.
    Raises ValueError when no symbol has a bar more than the window.
    """
    ordered = bars.select("symbol", "timestamp", pl.col(BAR_COLUMNS).cast(pl.Float64))
    histories = ordered.sort("symbol", "timestamp").partition_by("symbol", maintain_order=True)
    needed = feature_set.window_bars + ROWS_BEYOND_WINDOW
    if max((history.height for history in histories), default=0) < needed:
        raise ValueError(f"no symbol has the {needed} bars that the check needs")
    breaches = [*_fills(ordered, feature_set)]
    if feature_set.features:
        breaches += run_tests(_all_tests, histories, feature_set, cuts)
    return LeakReport(
        feature_set=feature_set.name,
        symbols=tuple(history["symbol"].item(0) for history in histories),
        rows=ordered.height,
        features=tuple(_feature_check(name, breaches) for name in feature_set.names),
        notes=_notes(polars_version),
    )


def merge_breaches(report: LeakReport, breaches: Iterable[Breach]) -> LeakReport:
    """The report with further breaches; of a feature and a test the first one is told."""
    told = [(*each.breaches, *each.advice) for each in report.features]
    every = [*(breach for feature in told for breach in feature), *breaches]
    return replace(
        report, features=tuple(_feature_check(each.feature, every) for each in report.features)
    )


def _all_tests(
    histories: Sequence[pl.DataFrame], feature_set: FeatureSet, *, cuts: int
) -> Iterator[InvarianceTest]:
    yield from invariance_tests(histories, feature_set, cuts=cuts)
    yield from scale_tests(histories, feature_set)


def _notes(polars_version: str) -> tuple[str, ...]:
    if polars_version.startswith(_POLARS_WITH_THESE_FILLS):
        return ()
    return (
        f"Polars {polars_version} may write fills from the future (backward fill, interpolation)"
        " in a form that is not known here: some of them may pass",
    )


class Tests(Protocol):
    """Pairs of evaluations of a set on histories, one symbol each, oldest first."""

    def __call__(
        self, histories: Sequence[pl.DataFrame], feature_set: FeatureSet, *, cuts: int
    ) -> Iterator[InvarianceTest]: ...


def run_tests(
    tests: Tests, histories: Sequence[pl.DataFrame], feature_set: FeatureSet, cuts: int
) -> list[Breach]:
    """What the tests find; where they can't be run together, feature by feature."""
    try:
        return [
            breach
            for test in tests(histories, feature_set, cuts=cuts)
            for breach in _breaches(test, feature_set.names)
        ]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if len(feature_set.features) == 1:
            return [_no_value(feature_set.names[0], error)]
    return [
        breach
        for feature in feature_set.features
        for breach in run_tests(tests, histories, single_feature_set(feature_set, feature), cuts)
    ]


def _breaches(test: InvarianceTest, names: tuple[str, ...]) -> Iterable[Breach]:
    mismatches = test.mismatches
    for column in np.flatnonzero(mismatches.any(axis=0)):
        row = int(mismatches[:, column].argmax())
        yield Breach(
            feature=names[column],
            test=test.test,
            symbol=test.keys["symbol"].item(row),
            timestamp=test.keys["timestamp"].item(row),
            expected=_value(test.expected[row, column]),
            made=_value(test.actual[row, column]),
            meaning=MEANINGS[test.test],
        )


def _fills(ordered: pl.DataFrame, feature_set: FeatureSet) -> Iterable[Breach]:
    """Fills from the future, which do nothing on the bars of a day on which nothing is missing."""
    newest = ordered.sort("symbol", "timestamp").row(-1, named=True)
    for feature in feature_set.features:
        if _fills_from_the_future(feature_set, feature):
            yield Breach(
                feature=feature.name,
                test="future",
                symbol=newest["symbol"],
                timestamp=newest["timestamp"],
                expected=None,
                made=None,
                meaning="fills what is missing from later bars, of which the newest has none",
            )


def _fills_from_the_future(feature_set: FeatureSet, feature: Feature) -> bool:
    for expression in expressions(feature_set, feature):
        try:
            written = expression.meta.serialize()
        except pl.exceptions.PolarsError:  # a Python function inside: only the tests can tell
            continue
        if any(fill in written for fill in _FILL_FROM_THE_FUTURE):
            return True
    return False


def _no_value(name: str, error: BaseException) -> Breach:
    message = str(error).partition("\n")[0]
    meaning = f"{MEANINGS['evaluation']}: {type(error).__name__}: {message}"
    return Breach(name, "evaluation", None, None, None, None, meaning)


def _feature_check(feature: str, breaches: Iterable[Breach]) -> FeatureCheck:
    first: dict[str, Breach] = {}
    for breach in breaches:
        if breach.feature == feature:
            first.setdefault(breach.test, breach)
    ordered = [first[test] for test in MEANINGS if test in first]
    return FeatureCheck(
        feature,
        breaches=tuple(breach for breach in ordered if breach.test not in ADVICE),
        advice=tuple(breach for breach in ordered if breach.test in ADVICE),
    )


def _value(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
