"""Two signals on one file are two processes."""

from pathlib import Path

import pytest

from mlengine.stores.bars.change_signal import FileChangeSignal


@pytest.fixture
def signals(tmp_path: Path) -> tuple[FileChangeSignal, FileChangeSignal]:
    path = tmp_path / "audit.db.recordings"
    return FileChangeSignal(path), FileChangeSignal(path)


def test_a_recording_is_a_change_once(signals):
    one, other = signals
    other.notify()
    assert one.changed()
    assert not one.changed()


def test_an_own_recording_is_none_where_it_is_known(signals):
    one, other = signals
    one.notify()
    assert one.changed()
    with one.own_recordings_known():
        one.notify()
    assert not one.changed()
    assert other.changed()


@pytest.mark.parametrize("others_come", ["before", "within", "after"])
def test_a_recording_of_others_is_one_beside_an_own(signals, others_come):
    one, other = signals
    if others_come == "before":
        other.notify()
    with one.own_recordings_known():
        one.notify()
        if others_come == "within":
            other.notify()
    if others_come == "after":
        other.notify()
    assert one.changed()
    assert not one.changed()


def test_a_block_without_a_recording_changes_nothing(signals):
    one, other = signals
    with one.own_recordings_known():
        one.notify()
    other.notify()
    with one.own_recordings_known():
        pass
    assert one.changed()
