"""A response in HTTP/1.1 that no framework writes."""

from collections.abc import Iterable
from http import HTTPStatus


def encode_response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """A whole HTTP/1.1 response; `headers` say everything but its length, which follows them."""
    lines = [f"{name}: {value}" for name, value in headers]
    head = [f"HTTP/1.1 {status} {_PHRASES[status]}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


_PHRASES = {int(status): status.phrase for status in HTTPStatus}
