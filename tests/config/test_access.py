from __future__ import annotations

import pytest

from mlengine.config import Settings
from mlengine.errors import BadSetting


def test_a_key_required_everywhere_has_to_be_there() -> None:
    with pytest.raises(BadSetting, match="REQUIRE_KEY"):
        Settings.from_env({"REQUIRE_KEY": "all"})
    for keys in ({"ADMIN_API_KEY": "secret"}, {"API_KEYS_FILE": "keys.json"}):
        access = Settings.from_env({"REQUIRE_KEY": "all", **keys}).access
        assert access.require_key_everywhere
    default = Settings.from_env({}).access
    assert (default.require_key_everywhere, default.failed_keys_per_minute) == (False, 10)
    assert default.api_keys_file is None


def test_public_activation_and_approvals_exclude_each_other() -> None:
    assert Settings.from_env({}).public_activation
    approving = Settings.from_env({"ACTIVATION_APPROVALS": "1"})
    assert (approving.public_activation, approving.access.activation_approvals) == (False, True)
    with pytest.raises(BadSetting, match="PUBLIC_ACTIVATION"):
        Settings.from_env({"ACTIVATION_APPROVALS": "1", "PUBLIC_ACTIVATION": "true"})
