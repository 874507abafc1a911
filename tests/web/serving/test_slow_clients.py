"""Clients that are silent, slow or deaf, and those beside them: real sockets, real workers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.platforms import SYMBOLS, make_platform
from tests.serving import Answer, Asker, lasts, serving
from tests.web.serving.attackers import attack


@dataclass
class Visitors:
    """Steady clients: `predictions` on kept connections, `probes` each on a new one."""

    predictions: list[Answer] = field(default_factory=list)
    probes: list[Answer] = field(default_factory=list)

    def failed(self) -> list[Answer]:
        return [each for each in (*self.predictions, *self.probes) if each.status != 200]


@contextmanager
def visitors(port: int, per_second: float) -> Iterator[Visitors]:
    """Half of them ask for predictions, on five connections; the others whether all is well."""
    seen, over = Visitors(), threading.Event()
    pause = 10 / per_second

    def predict(symbol: str) -> None:
        asker = Asker(port)
        while not over.wait(pause):
            seen.predictions.append(asker.ask(f"/predict?symbol={symbol}"))
        asker.close()

    def probe(path: str) -> None:
        while not over.wait(pause):
            asker = Asker(port)
            seen.probes.append(asker.ask(path))
            asker.close()

    threads = [threading.Thread(target=predict, args=[SYMBOLS[n % 3]]) for n in range(5)]
    threads += [threading.Thread(target=probe, args=["/health"]) for _ in range(5)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_some_attackers_are_dropped_by_the_deadline_and_nobody_else_notices(tmp_path: Path) -> None:
    make_platform(tmp_path)
    with (
        serving(tmp_path, ready="/predict?symbol=AAA", CLIENT_TIMEOUT_SECONDS="1") as server,
        visitors(server.port, 50) as seen,
        attack(server.port, pause=0.3, silent=60, slow=24, unread=8) as attackers,
    ):
        dropped = attackers.dropped()
    assert sum(map(len, dropped.values())) == 92
    assert seen.failed() == []
    assert seen.predictions
    assert seen.probes


@pytest.mark.soak
def test_thousands_of_attackers_beside_fifty_requests_a_second(tmp_path: Path) -> None:
    """`-s` shows the figures, before the attack and in it; a busy machine is slow without one."""
    make_platform(tmp_path)
    with serving(tmp_path, ready="/predict?symbol=AAA") as server:
        with visitors(server.port, 50) as before:
            lasts(10)
        with (
            visitors(server.port, 50) as seen,
            attack(server.port, pause=4, silent=2000, slow=200, unread=200) as attackers,
        ):
            dropped = attackers.dropped()
    lines = [
        f"{kind}: {len(seconds)} dropped after {max(seconds):.1f} s at most"
        for kind, seconds in dropped.items()
    ]
    sys.stderr.write("\n".join(["", *lines, *_figures(before, "before"), *_figures(seen), ""]))
    assert sum(map(len, dropped.values())) == 2400
    assert before.failed() == seen.failed() == []
    usual = max(_p99_ms(before.predictions), _p99_ms(before.probes))
    assert max(_p99_ms(seen.predictions), _p99_ms(seen.probes)) < max(100.0, 3 * usual)


def _figures(seen: Visitors, when: str = "meanwhile") -> list[str]:
    return [
        f"{name} {when}: {len(answers)}, p99 {_p99_ms(answers):.1f} ms, "
        f"longest {_waits_ms(answers)[-1]:.1f} ms"
        for name, answers in (("/predict", seen.predictions), ("/health", seen.probes))
    ]


def _p99_ms(answers: Sequence[Answer]) -> float:
    return _waits_ms(answers)[int(len(answers) * 0.99)]


def _waits_ms(answers: Sequence[Answer]) -> list[float]:
    return sorted(1000 * (each.ended - each.begun) for each in answers)
