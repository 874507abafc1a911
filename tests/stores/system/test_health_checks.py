import pytest

from mlengine.stores.system.health_checks import Checks


def test_a_part_is_unknown_until_it_was_called_and_then_what_was_last_said():
    checks = Checks()
    assert checks.state("upstream") == "unknown"
    checks.record("upstream", "down")
    checks.record("upstream", "ok")
    assert checks.state("upstream") == "ok"
    assert checks.state("audit") == "unknown"


def test_only_the_known_states_can_be_recorded():
    with pytest.raises(ValueError, match="'fine' is none of ok, degraded, down, unknown"):
        Checks().record("upstream", "fine")
