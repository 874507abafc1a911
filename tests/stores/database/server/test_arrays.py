"""Many rows as one array of PostgreSQL a column."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Engine,
    Identity,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)

from mlengine.stores.database.engine import insert_or_ignore, open_database, reading, writing
from mlengine.stores.database.many_rows import SelectByKey, execute_many
from mlengine.stores.database.server.arrays import array_text, blocks

THINGS = Table(
    "things",
    MetaData(),
    Column("seq", BigInteger, Identity(), primary_key=True),
    Column("name", Text, unique=True),
    Column("number", Double),
    Column("truth", Boolean),
    Column("payload", LargeBinary),
)
NAMES = ("name", "number", "truth", "payload")
HOSTILE = [
    "",
    "NULL",
    "null",
    'a"b',
    "a\\b",
    "{a,b}",
    " a ",
    "a\tb\nc",
    "É€😀",
    "%(name)s",
    "\\x00",
]
READ = SelectByKey(select(*THINGS.c[NAMES]).order_by(THINGS.c.seq), THINGS.c.name)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = open_database(postgres_url)
    THINGS.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_what_is_written_is_read_to_the_last_bit_and_in_its_order(engine: Engine):
    numbers = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, None, 1 / 3]
    rows = [
        (name, numbers[place % 8], [True, False, None][place % 3], bytes(range(place, 256)))
        for place, name in enumerate([*HOSTILE, *(f"S{number:04}" for number in range(2_500))])
    ]
    with writing(engine) as connection:
        assert execute_many(connection, insert(THINGS), NAMES, rows) == len(rows)
    with reading(engine) as connection:
        read = READ.rows(connection, [row[0] for row in rows])
    assert [tuple(row) for row in read] == rows
    assert [bits(row[1]) for row in read] == [bits(row[1]) for row in rows]


def test_rows_that_are_there_stay_and_are_not_counted(engine: Engine):
    rows = [("a", 1.0, True, b"a"), ("b", 2.0, None, None)]
    again = [("b", 9.0, True, b""), ("c", 3.0, False, b"c")]
    with writing(engine) as connection:
        execute_many(connection, insert_or_ignore(connection, THINGS), NAMES, rows)
        assert execute_many(connection, insert_or_ignore(connection, THINGS), NAMES, again) == 1
        assert [tuple(row)[:2] for row in READ.rows(connection, ["c", "b", "a", "d"])] == [
            ("a", 1.0),
            ("b", 2.0),
            ("c", 3.0),
        ]


def test_each_row_is_updated_with_its_own_values(engine: Engine):
    changed = (
        update(THINGS)
        .where(THINGS.c.name == bindparam("of"))
        .values(number=bindparam("new_number"))
    )
    with writing(engine) as connection:
        execute_many(connection, insert(THINGS), NAMES, [(each, 0.0, None, None) for each in "abc"])
        assert execute_many(connection, changed, ("new_number", "of"), [(1.5, "a"), (-0.0, "c")])
        read = [(row[0], bits(row[1])) for row in READ.rows(connection, ["a", "b", "c"])]
    assert read == [("a", bits(1.5)), ("b", bits(0.0)), ("c", bits(-0.0))]


def test_the_text_of_an_array_tells_a_missing_value_from_its_name():
    assert array_text(["NULL", "a b"]) == '{"NULL","a b"}'
    assert array_text([None, "a"]) == '{NULL,"a"}'
    assert array_text([None, True, False]) == "{NULL,t,f}"
    assert array_text([b"\x01\xff"]) == r'{"\\x01ff"}'
    assert array_text([1.0, -0.0, 3]) == "{1.0,-0.0,3}"
    assert array_text([]) == "{}"


def test_one_statement_takes_some_rows_and_some_bytes():
    numbers, payloads = tuple(range(2_003)), (b"",) * 2_003
    assert [len(block[0]) for block in blocks([numbers, payloads])] == [1_000, 1_000, 3]
    large = [None, bytes(17_000_000), b"a", bytes(15_999_999), b"b"]
    split = [block[0] for block in blocks([large])]
    assert [len(each) for each in split] == [1, 1, 2, 1]
    assert [each for block in split for each in block] == large


def bits(number: float | None) -> bytes | None:
    return None if number is None else struct.pack("<d", number)
