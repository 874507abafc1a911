"""The named keys: in force, and to change."""

from mlengine.config import Settings
from mlengine.errors import BadSetting, CannotStart, KeysDamaged
from mlengine.services.keys.named_keys import NamedKeys
from mlengine.stores.keys.key_file import KeyFile
from mlengine.stores.keys.key_ring import KeyRing

_UNSET = "the file of named keys; set it, and `mlengine keys add` makes it"


def build_key_ring(settings: Settings) -> KeyRing:
    """The keys in force; a damaged file is reported there, and none of its keys opens anything."""
    path = settings.access.api_keys_file
    return KeyRing(KeyFile(path) if path else None)


def build_named_keys(settings: Settings) -> NamedKeys:
    """Raises BadSetting without API_KEYS_FILE."""
    path = settings.access.api_keys_file
    if path is None:
        raise BadSetting("API_KEYS_FILE", "", _UNSET)
    return NamedKeys(KeyFile(path), frozenset(settings.admin_api_keys))


def require_keys(settings: Settings) -> None:
    """Raises CannotStart where the file of keys can't be used, or names a holder twice."""
    path = settings.access.api_keys_file
    if path is None:
        return
    try:
        names = KeyFile(path).read()
    except KeysDamaged as damage:
        hint = "" if path.exists() else "; `mlengine keys add` makes it"
        raise CannotStart(f"API_KEYS_FILE: {damage}{hint}") from None
    if twice := sorted(names.keys() & settings.admin_api_keys.keys()):
        raise CannotStart(f"API_KEYS_FILE: ADMIN_API_KEY has a key named {twice[0]!r} too")
