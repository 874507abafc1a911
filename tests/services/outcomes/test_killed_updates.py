from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select, text
from tests.processes import score_outcomes
from tests.replayed_market import FIRST_DAY, ReplayedMarket, replayed_market

from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.tables import outcomes, skill_states

ROOT = Path(__file__).parents[3]
DAYS, ROUNDS = 40, 6


def decided(market: ReplayedMarket) -> list[tuple[object, ...]]:
    row = outcomes.c
    query = select(
        *(row.symbol, row.bar_timestamp, row.state, row.label, row.forward_return, row.other_score)
    )
    with reading(market.platform.control.database) as connection:
        rows = connection.execute(query.order_by(row.symbol, row.bar_timestamp))
        return [tuple(each) for each in rows]


def skill_of(market: ReplayedMarket) -> list[tuple[object, ...]]:
    query = select(
        skill_states.c.model_version, skill_states.c.through_day, skill_states.c.document
    )
    with reading(market.platform.control.database) as connection:
        return [tuple(each) for each in connection.execute(query)]


def start(folder: Path, market: ReplayedMarket, moment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", score_outcomes.__name__]
    arguments = [str(folder), market.upstream.url, moment]
    return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    process.communicate()
    assert process.returncode == 0


@pytest.mark.soak
def test_updates_that_race_and_are_killed_score_each_prediction_once(tmp_path: Path) -> None:
    symbols = tuple(f"S{number:02d}" for number in range(8))
    drawn = random.Random(7)  # noqa: S311 - when to kill
    with replayed_market(tmp_path, symbols, days=FIRST_DAY + DAYS + 9, models=2) as market:
        market.run(range(FIRST_DAY, FIRST_DAY + DAYS), update=False)
        moment = market.now(FIRST_DAY + DAYS - 1).isoformat()
        for _ in range(ROUNDS):
            pair = [start(tmp_path, market, moment) for _ in range(2)]
            for process in pair:
                assert process.stdout is not None
                process.stdout.readline()
            time.sleep(drawn.uniform(0.0, 1.5))
            for process in pair:
                process.kill()
                process.communicate()
        finish(start(tmp_path, market, moment))
        survived, weighed = decided(market), skill_of(market)
        assert len(survived) == DAYS * len(symbols)
        assert len({row[:2] for row in survived}) == len(survived)
        assert sum(row[2] == "scored" for row in survived) == (DAYS - 5) * len(symbols)
        tables = ("outcomes", "monitoring_positions", "skill_states", "outcome_revisions")
        with writing(market.platform.control.database) as connection:
            for table in tables:
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - ours
        finish(start(tmp_path, market, moment))
        assert decided(market) == survived
        assert skill_of(market) == weighed
