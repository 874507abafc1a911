"""What a service may do to bars that are recorded: revise, replace, cut off, take back, mix up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.services.bars.test_recorded import BARS, DAY, HOUR, LONGER, NOW, SECOND, service
from tests.upstream import LoopbackUpstream, queries

from mlengine.core.bars.bars import PRICES, BarArrays
from mlengine.core.timestamps import microseconds
from mlengine.errors import UpstreamInvalid
from mlengine.services.bars.service import BarService

FINAL = BARS.height - 1  # the newest one is unfinished
Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(BARS) as running:
        yield running


def history(service: BarService, *, hours: int = 0, anew: bool = False) -> pl.DataFrame:
    asked = replace(service, anew=True) if anew else service
    return asked.history("AAA", bars=0, as_of=None, now=NOW + hours * HOUR).frame


def window(service: BarService, *, hours: int, bars: int = 20) -> BarArrays:
    return service.window("AAA", bars=bars, as_of=None, now=NOW + hours * HOUR).bars


def scaled(factor: float) -> Change:
    return lambda bars: bars.with_columns(pl.col(PRICES) * factor)


def of_another_symbol(bars: pl.DataFrame) -> pl.DataFrame:
    """The same times, and the prices of the same walk backwards."""
    return bars.with_columns(pl.col(*PRICES, "volume").reverse())


@pytest.mark.parametrize("bar", [2, 10, 19])
def test_a_revision_anywhere_in_the_window_is_seen_at_once(
    upstream: LoopbackUpstream, tmp_path: Path, bar: int
) -> None:
    one = service(upstream, tmp_path)
    window(one, hours=0)
    revised = BARS.with_row_index().with_columns(
        pl.when(pl.col("index") == FINAL - bar).then(7.0).otherwise("volume").alias("volume")
    )
    upstream.serve(revised.drop("index"))
    assert window(one, hours=1).values[4, -bar] == 7.0
    assert window(service(upstream, tmp_path), hours=2).values[4, -bar] == 7.0


def test_a_bar_that_vanishes_within_the_window_is_gone(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    one = service(upstream, tmp_path)
    before = window(one, hours=0)
    upstream.serve(pl.concat([BARS.head(485), BARS.tail(14)]))
    gone = microseconds(BARS["timestamp"][485])
    assert gone in before.starts
    assert gone not in window(one, hours=1).starts
    then = one.window("AAA", bars=20, as_of=NOW + SECOND, now=NOW + 2 * HOUR)
    assert then.bars.bars_hash == before.bars_hash


def test_a_batch_of_few_symbols_looks_as_far_back_as_a_single_question(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    delta = service(upstream, tmp_path)._upstream.delta
    one = service(upstream, tmp_path)
    window(one, hours=0)
    held = {"AAA": one.cache.newest("AAA")}
    assert held["AAA"] is not None
    starts = {
        overlap: delta.tail_starts(held, overlap, NOW)["AAA"]  # type: ignore[arg-type]
        for overlap in (5, 20)
    }
    assert starts[5] - starts[20] == 15 * DAY


def test_bars_of_other_prices_do_not_stay_before_those_of_a_rolling_year(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    """A service keeps 250 days, and divides them by four; older ones were recorded before that."""
    one = service(upstream, tmp_path)
    before = history(one)
    assert before.height == FINAL
    upstream.serve(LONGER.head(501).tail(250))
    assert history(one, hours=24).height == 500, "older bars stay while their prices are the same"
    upstream.serve(scaled(0.25)(LONGER.head(502).tail(250)))
    after = history(one, hours=48)
    assert (after["close"] / after["close"].shift(1)).min() > 0.5
    assert after.height == 249
    then = one.history("AAA", bars=0, as_of=NOW + SECOND, now=NOW + 49 * HOUR)
    assert then.frame.equals(before)


def test_one_bar_that_is_mended_at_the_begin_of_a_rolling_year_takes_no_others_with_it(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    one = service(upstream, tmp_path)
    history(one)
    rolling = LONGER.head(501).tail(250)
    upstream.serve(pl.concat([scaled(1.01)(rolling.head(1)), rolling.tail(249)]))
    assert history(one, hours=24, anew=True).height == 500


def test_an_answer_without_candles_is_not_all_that_there_ever_was(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    """As of a service that gives the first 90 days of a range, which begins before the listing."""
    one = service(upstream, tmp_path)
    window(one, hours=0)
    upstream.envelope = lambda _: []
    for anew in (False, True):
        with pytest.raises(UpstreamInvalid, match="no candles of a time of which"):
            history(one, hours=1, anew=anew)
    assert one.states.state("upstream") == "degraded"
    assert window(one, hours=1).rows == 20, "nothing new is no error"
    upstream.envelope = dict
    assert history(one, hours=2).height == FINAL


def test_while_bars_are_fresh_those_of_another_symbol_are_not_believed(
    upstream: LoopbackUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = service(upstream, tmp_path)
    before = history(one)
    upstream.serve(of_another_symbol(BARS))
    served = one.window("AAA", bars=20, as_of=None, now=NOW + HOUR)
    assert served.origin.upstream_age_seconds == 3600
    assert served.bars.frame().equals(before.tail(20))
    with pytest.raises(UpstreamInvalid, match="bear no relation to the bars that are recorded"):
        history(one, hours=1, anew=True)
    said = [each.__dict__ for each in caplog.records if each.msg == "upstream answer refused"]
    assert "bear no relation" in said[-1]["reason"]
    assert said[-1]["answer"].startswith('{"symbol"')
    upstream.serve(BARS)
    assert history(one, hours=2).equals(before)


@pytest.mark.parametrize("how", ["by hand", "in the long run"])
def test_another_series_is_taken_when_somebody_says_so_or_it_stays(
    upstream: LoopbackUpstream, tmp_path: Path, how: str
) -> None:
    one = service(upstream, tmp_path)
    history(one)
    other = of_another_symbol(BARS)
    upstream.serve(other)
    if how == "by hand":
        one.ingest("AAA", now=NOW + HOUR)
    hours = 2 if how == "by hand" else 3
    assert window(one, hours=hours).values[3, -1] == other["close"][-2]
    upstream.serve(BARS)
    assert window(one, hours=4).values[3, -1] == BARS["close"][-2], "the other one was wrong"


@pytest.mark.parametrize(
    "change",
    [
        scaled(0.25),
        scaled(150.0),
        lambda bars: bars.with_columns(pl.col("volume") * 100),
        lambda bars: bars.with_columns(
            pl.col(PRICES) * (1 + 0.0005 * (pl.int_range(pl.len()) % 7))
        ),
        lambda bars: pl.concat([scaled(0.5)(bars.head(300)), bars.tail(200)]),
    ],
)
def test_a_series_that_is_adjusted_or_of_another_venue_is_the_same(
    upstream: LoopbackUpstream, tmp_path: Path, change: Change
) -> None:
    one = service(upstream, tmp_path)
    history(one)
    upstream.serve(change(BARS))
    assert history(one, hours=1, anew=True).equals(change(BARS).head(FINAL))


def test_a_late_bar_costs_no_newer_one_as_of_a_moment_between(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    """Where the whole history was fetched with it, so that most bars were first seen then."""
    one = service(upstream, tmp_path)
    upstream.serve(pl.concat([BARS.head(497), BARS[498:499]]))
    before = window(one, hours=0)
    upstream.serve(BARS)
    window(one, hours=1)
    assert history(one, hours=1).height == FINAL
    then = NOW + timedelta(minutes=30)
    for bars in (20, 0):
        at = one.history("AAA", bars=bars, as_of=then, now=NOW + 2 * HOUR).frame.tail(20)
        assert at.equals(before.frame()), bars
    assert queries(upstream.requests, "start")[-1] == "1970-01-01T00:00:00Z"


def test_an_older_copy_of_an_answer_is_not_believed(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    """Its last bar was still running then; that it lacks the newest one alone says nothing."""
    one = service(upstream, tmp_path)
    before = window(one, hours=0)
    running = pl.col("volume") * 0.3
    upstream.serve(pl.concat([BARS.head(497), BARS[497:498].with_columns(volume=running)]))
    served = one.window("AAA", bars=20, as_of=None, now=NOW + HOUR)
    assert served.bars.bars_hash == before.bars_hash
    assert served.origin.upstream_age_seconds == 3600
    upstream.serve(BARS.head(498))
    served = one.window("AAA", bars=20, as_of=None, now=NOW + HOUR + 9 * SECOND)
    assert (served.bars.bars_hash, served.origin.upstream_age_seconds) == (before.bars_hash, None)


@pytest.mark.parametrize("cache_seconds", [0.0, 5.0])
def test_a_late_bar_that_nobody_waited_for_was_not_known_to_the_last_answer(
    upstream: LoopbackUpstream, tmp_path: Path, cache_seconds: float
) -> None:
    """Not at the very moment of that answer; from then on, as if it had been in time."""
    one = service(upstream, tmp_path, cache_seconds=cache_seconds)
    upstream.serve(BARS.head(498))
    before = window(one, hours=0)
    upstream.serve(LONGER.head(502))
    window(one, hours=72)
    for running in (one, service(upstream, tmp_path)):
        at = running.window("AAA", bars=20, as_of=NOW, now=NOW + 73 * HOUR)
        assert at.bars.bars_hash == before.bars_hash
        later = running.window("AAA", bars=20, as_of=NOW + HOUR, now=NOW + 73 * HOUR)
        assert later.bars.last_timestamp == BARS["timestamp"][498]
