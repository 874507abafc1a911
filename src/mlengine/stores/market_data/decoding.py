"""JSON as services write it: also with NaN, Infinity and integers of any length."""

import json

import orjson

from mlengine.errors import UpstreamInvalid


def decode_json(body: bytes) -> object:
    """What `body` says; raises UpstreamInvalid when it is no JSON at all."""
    try:
        decoded: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _decode_tolerantly(body)
    return decoded


def _decode_tolerantly(body: bytes) -> object:
    try:
        decoded: object = json.loads(body.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        raise UpstreamInvalid("the answer is not JSON") from None
    return decoded


def _integer(text: str) -> float:
    """Beyond 64 bits as a float: exact enough for a volume, and no attack by its length."""
    return int(text) if len(text) <= 19 else float(text)
