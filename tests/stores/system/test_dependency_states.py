import pytest

from mlengine.stores.system.dependency_states import DependencyStates


def test_a_part_is_unknown_until_it_was_called_and_then_what_was_last_said():
    states = DependencyStates()
    assert states.state("upstream") == "unknown"
    states.record("upstream", "down")
    states.record("upstream", "ok")
    assert states.state("upstream") == "ok"
    assert states.state("audit") == "unknown"


def test_only_the_known_states_can_be_recorded():
    with pytest.raises(ValueError, match="'fine' is none of ok, degraded, down, unknown"):
        DependencyStates().record("upstream", "fine")
