"""Which connections have had their time, and when the next will have."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from math import inf

import pytest
from gunicorn.config import Config

from mlengine.web.serving.connections import Connection, ConnectionTable
from mlengine.web.serving.request_reader import RequestReader


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def connection(sock: socket.socket) -> Connection:
    return Connection(sock, ("127.0.0.1", 1), ("127.0.0.1", 2), RequestReader(Config(), None))


def test_many_that_are_over_at_once_are_dropped_in_pieces(sock: socket.socket) -> None:
    table = ConnectionTable()
    for number in range(150):
        table.add(connection(sock), float(number < 75))
    left = connection(sock)
    table.add(left, 50.0)
    pieces = []
    while table.next_deadline <= 10.0:
        pieces.append(table.over(10.0))
        for each in pieces[-1]:
            table.remove(each)
    assert [len(piece) for piece in pieces] == [64, 64, 22]
    assert len(table) == 1
    assert left in table
    assert table.next_deadline == 50.0


def test_those_in_a_threads_hands_are_never_over(sock: socket.socket) -> None:
    table, busy, waiting = ConnectionTable(), connection(sock), connection(sock)
    table.add(busy, 1.0)
    table.set_busy(busy)
    table.add(waiting, 1.0)
    table.set_waiting(waiting, 2.0)
    assert table.over(10.0) == [waiting]
    table.remove(waiting)
    assert table.over(10.0) == []
    assert table.next_deadline == inf
