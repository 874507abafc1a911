"""Named keys that can't be used, found or made."""

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError


@dataclass(eq=False)
class KeysDamaged(MlengineError):
    code: ClassVar[str] = "keys_damaged"
    message: ClassVar[str] = "the file of keys {path} can't be used: {reason}"
    path: str
    reason: str


@dataclass(eq=False)
class KeyNotFound(MlengineError):
    code: ClassVar[str] = "key_not_found"
    message: ClassVar[str] = "there is no key {name!r}"
    name: str


@dataclass(eq=False)
class KeyNameTaken(MlengineError):
    code: ClassVar[str] = "key_name_taken"
    message: ClassVar[str] = "the name {name!r} is taken; revoke its key first, or take another"
    name: str
