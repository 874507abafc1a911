from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.patience import eventually
from tests.processes import score_signals
from tests.replayed_market import FIRST_DAY, ReplayedMarket, replayed_market
from tests.scored_market import DAY, ScoredMarket
from tests.upstream import Fault

from mlengine.services.signals.worker import LEASE_SECONDS
from mlengine.stores.database.clock import host_clock
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import signal_slices

ROOT = Path(__file__).parents[3]
ROUNDS = 6


def start(market: ReplayedMarket, folder: Path, holder: str, ahead: timedelta) -> subprocess.Popen:  # type: ignore[type-arg]
    command = [sys.executable, "-m", score_signals.__name__, str(folder), market.upstream.url]
    arguments = [str(ahead.total_seconds()), holder, *market.bars]
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def held_by(scored: ScoredMarket) -> set[str]:
    query = select(signal_slices.c.holder).where(signal_slices.c.holder.is_not(None))
    with reading(scored.market.platform.control.database) as connection:
        return set(connection.scalars(query))


def open_slices(scored: ScoredMarket) -> int:
    query = select(func.count()).where(signal_slices.c.look_at.is_not(None))
    with reading(scored.market.platform.control.database) as connection:
        return connection.scalar(query) or 0


@pytest.mark.soak
def test_of_three_workers_one_is_killed_in_the_middle_and_each_symbol_is_said_once(
    tmp_path: Path,
) -> None:
    symbols = tuple(f"S{number:02d}" for number in range(24))
    drawn = random.Random(7)  # noqa: S311 - whom to kill, and when
    with replayed_market(tmp_path, symbols, days=FIRST_DAY + ROUNDS + 9, models=2) as market:
        scored = ScoredMarket(market)
        market.upstream.always = Fault(delay_seconds=0.05)
        killed_while_holding = 0
        for day in range(DAY, DAY + ROUNDS):
            scored.at(day)
            ahead = scored.now - host_clock()
            workers = {name: start(market, tmp_path, name, ahead) for name in ("a", "b", "c")}
            for worker in workers.values():
                worker.stdout.readline()
            for worker in workers.values():
                worker.stdin.write(b"\n")
                worker.stdin.flush()
            begun = time.monotonic()
            assert eventually(lambda: held_by(scored) and len(scored.said()) % 48 > 0, seconds=30)
            time.sleep(drawn.uniform(0.0, 0.1))
            victim = drawn.choice(sorted(held_by(scored)) or ["a"])
            workers[victim].kill()
            workers[victim].communicate()
            killed_while_holding += victim in held_by(scored)
            wanted = 2 * len(symbols) * (day - DAY + 1)
            assert eventually(lambda n=wanted: len(scored.said()) == n, seconds=60)
            took = time.monotonic() - begun
            assert took < LEASE_SECONDS + 15.0
            sys.stdout.write(f"complete after {took:.1f} s, {victim} killed\n")
            for worker in workers.values():
                worker.kill()
                worker.communicate()
        said = scored.said()
        assert len(set(said)) == len(said) == 2 * len(symbols) * ROUNDS
        assert all(error is None for *_, error in said)
        assert scored.ids() == [prediction_id for prediction_id, _, _ in scored.audited()]
        assert open_slices(scored) == 0
        assert None not in scored.completed()
        assert killed_while_holding > 0
