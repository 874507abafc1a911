"""The rows and columns of an Arrow file or stream, from the messages in it alone."""

import struct

_MAGIC = b"ARROW1"
_CONTINUES = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_BLOCK_BYTES = 24


def arrow_rows(content: bytes) -> tuple[int, int]:
    """How many rows all batches have, also those of dictionaries, and how many columns they are of.

    Raises struct.error, IndexError or ValueError where the messages are damaged.
    """
    return _rows_of_file(content) if content.startswith(_MAGIC) else _rows_of_stream(content)


def _rows_of_file(content: bytes) -> tuple[int, int]:
    end = len(content) - len(_MAGIC) - 4
    (length,) = struct.unpack_from("<I", content, end)
    footer = _Table.root(content, end - length)
    rows = 0
    for field in (2, 3):
        for at in footer.vector(field, _BLOCK_BYTES):
            (offset,) = struct.unpack_from("<q", content, at)
            rows += _rows(_message(content, offset)[0])
    return rows, len(footer.table(1).vector(1, 4))


def _rows_of_stream(content: bytes) -> tuple[int, int]:
    at = rows = columns = 0
    while at + 8 <= len(content):
        message, begin = _message(content, at)
        if message is None:
            break
        at = begin + message.integer(3, "<q")
        rows += _rows(message)
        if message.integer(1, "<B") == _SCHEMA:
            columns = len(message.table(2).vector(1, 4))
    return rows, columns


def _message(content: bytes, at: int) -> tuple["_Table | None", int]:
    """The message at a place, None at the end of them all, and where its body begins."""
    (length,) = struct.unpack_from("<I", content, at)
    at += 4
    if length == _CONTINUES:
        (length,) = struct.unpack_from("<I", content, at)
        at += 4
    return (_Table.root(content, at) if length else None), at + length


def _rows(message: "_Table | None") -> int:
    kind = message.integer(1, "<B") if message else 0
    if message is None or kind not in (_DICTIONARY, _BATCH):
        return 0
    header = message.table(2)
    return (header if kind == _BATCH else header.table(1)).integer(0, "<q")


class _Table:
    """A table of a flatbuffer, whose fields are found by their number."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at
        self._fields = at - struct.unpack_from("<i", content, at)[0]
        (self._size,) = struct.unpack_from("<H", content, self._fields)

    @classmethod
    def root(cls, content: bytes, at: int) -> "_Table":
        return cls(content, at + struct.unpack_from("<I", content, at)[0])

    def integer(self, field: int, form: str) -> int:
        """Zero where it is left out."""
        at = self._place(field)
        value: int = struct.unpack_from(form, self._content, at)[0] if at else 0
        if value < 0:
            raise ValueError(value)
        return value

    def table(self, field: int) -> "_Table":
        return _Table(self._content, self._target(field))

    def vector(self, field: int, item_bytes: int) -> range:
        """Where its items lie; none where it is left out."""
        if not self._place(field):
            return range(0)
        at = self._target(field) + 4
        (length,) = struct.unpack_from("<I", self._content, at - 4)
        if at + length * item_bytes > len(self._content):
            raise ValueError(length)
        return range(at, at + length * item_bytes, item_bytes)

    def _target(self, field: int) -> int:
        at = self._place(field)
        target: int = at + struct.unpack_from("<I", self._content, at)[0]
        return target

    def _place(self, field: int) -> int:
        """Zero where it is left out."""
        slot = 4 + 2 * field
        if slot >= self._size:
            return 0
        (offset,) = struct.unpack_from("<H", self._content, self._fields + slot)
        return self._at + offset if offset else 0
