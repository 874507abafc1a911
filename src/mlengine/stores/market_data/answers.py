"""An answer's candles, and what it calls the next page; a long one is read by another process.

To decode one of 20 MB would hold all threads of this process for a large part of a second, and
would take many times its size. Run as a program with a question, it reads an answer from its
standard input, writes candles in Arrow's format to a file, and prints the next page or a refusal.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import polars as pl

from mlengine.errors import UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.body import Body
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.decoding import decode_json
from mlengine.stores.market_data.shapes.reading import next_page, read_answer
from mlengine.stores.market_data.shapes.shape import ServiceShape

# One answer is read at a time: the threads that serve keep their share of the processor.
_TURN = threading.Lock()
_MOST_MEMORY_BYTES = 4 * 2**30
_LONGEST_SECONDS = 3_600.0
_LATE = "no answer before the deadline"
_PATHS = ("candles", "symbol", "next_page")

Candles = tuple[pl.DataFrame, str | None]


@dataclass(frozen=True)
class Question:
    """What was asked of which service."""

    shape: ServiceShape
    symbol: str
    interval: str

    def read(self, content: bytes, deadline: Deadline) -> Candles:
        """The candles of an answer in RAW_SCHEMA; raises as `read_answer` does."""
        payload = decode_json(content)
        candles = read_answer(
            payload,
            shape=self.shape,
            symbol=self.symbol,
            interval=self.interval,
            deadline=deadline,
        )
        return candles, next_page(payload, self.shape, self.symbol)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Question:
        stated = json.loads(text)
        shape = stated.pop("shape")
        paths = {name: tuple(shape[name]) for name in _PATHS if shape[name] is not None}
        return cls(ServiceShape(**{**shape, **paths}), **stated)


def read_candles(body: Body, question: Question, deadline: Deadline) -> Candles:
    """As `Question.read`; raises UpstreamUnavailable at the deadline, however long the body is."""
    with _turn(deadline):
        if body.is_long:
            return _read_elsewhere(body, question, deadline)
        return question.read(body.read(), deadline)


@contextmanager
def _turn(deadline: Deadline) -> Iterator[None]:
    patience = min(max(0.0, deadline.left_seconds), _LONGEST_SECONDS)
    if not _TURN.acquire(timeout=patience):
        raise UpstreamUnavailable(_LATE)
    try:
        yield
    finally:
        _TURN.release()


def _read_elsewhere(body: Body, question: Question, deadline: Deadline) -> Candles:
    body.file.seek(0)
    seconds = min(max(0.0, deadline.left_seconds), _LONGEST_SECONDS)
    with os.fdopen(os.memfd_create("candles"), "w+b") as output:
        path = f"/proc/self/fd/{output.fileno()}"
        try:
            process = subprocess.run(
                [sys.executable, "-m", __name__, question.to_json(), str(seconds), path],
                stdin=body.file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[output.fileno()],
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UpstreamUnavailable(_LATE) from None
        if process.returncode or not process.stdout:
            raise UpstreamInvalid(f"the process that read its {body.size} bytes died of them")
        outcome = json.loads(process.stdout)
        if "refusal" in outcome:
            raise UpstreamInvalid(outcome["refusal"])
        # By its path it is mapped: what is never looked at takes no memory here.
        return pl.read_ipc(path), outcome["next"]


def main(question: str, seconds: str, path: str) -> None:
    """Nothing of an answer makes it take all memory, or go on for ever."""
    for limit, most in (
        (resource.RLIMIT_AS, _MOST_MEMORY_BYTES),
        (resource.RLIMIT_CPU, int(float(seconds)) + 1),
    ):
        resource.setrlimit(limit, (most, most))
    try:
        content = sys.stdin.buffer.read()
        candles, following = Question.from_json(question).read(content, Deadline())
    except UpstreamInvalid as refusal:
        sys.stdout.write(json.dumps({"refusal": refusal.reason}))
        return
    candles.write_ipc(path)
    sys.stdout.write(json.dumps({"next": following}))


if __name__ == "__main__":
    main(*sys.argv[1:])
