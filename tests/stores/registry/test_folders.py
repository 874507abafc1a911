from __future__ import annotations

import errno
from pathlib import Path

from tests.crashing import at_step
from tests.published import publish

from mlengine.stores.registry.folders import (
    clear_leftovers,
    published_versions,
    remove_staged,
    staged_run_ids,
    version_published_by,
)


def test_the_version_of_a_run_is_found_by_its_manifest(tmp_path: Path) -> None:
    assert version_published_by(tmp_path / "none", "run1") is None
    for number in (1, 2):
        publish(tmp_path, run_id=f"run{number}")
    assert (version_published_by(tmp_path, "run1"), version_published_by(tmp_path, "run2")) == (
        "v1",
        "v2",
    )
    assert version_published_by(tmp_path, "run3") is None


def test_a_manifest_that_can_not_be_read_is_nobodys(tmp_path: Path) -> None:
    for version, text in (("v1", "{"), ("v2", "[]")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "manifest.json").write_text(text)
    (tmp_path / "v3").mkdir()
    assert version_published_by(tmp_path, "run1") is None


def test_half_written_folders_are_no_versions_and_can_be_discarded(tmp_path: Path) -> None:
    for name in (".staging-a", ".staging-b", "v1"):
        (tmp_path / name).mkdir()
    assert (published_versions(tmp_path), staged_run_ids(tmp_path)) == (["v1"], {"a", "b"})
    remove_staged(tmp_path, {"a", "never-there"})
    assert staged_run_ids(tmp_path) == {"b"}


def test_a_hidden_folder_stays_whole_while_its_name_can_not_be_forced_to_disk(
    tmp_path: Path,
) -> None:
    """A power cut could bring it back under the name of the version that it was."""
    publish(tmp_path)
    whole = {path.name for path in (tmp_path / "v1").iterdir()}
    hidden = (tmp_path / "v1").rename(tmp_path / ".removed-v1")
    staged = tmp_path / ".staging-run"
    staged.mkdir()

    def refuse() -> None:
        raise OSError(errno.EIO, "")

    for remove in (lambda: clear_leftovers(tmp_path), lambda: remove_staged(tmp_path, {"run"})):
        with at_step(1, refuse, among=frozenset({"fsync"})):
            remove()
        assert {path.name for path in hidden.iterdir()} == whole
        assert staged.exists()
    clear_leftovers(tmp_path)
    remove_staged(tmp_path, {"run"})
    assert not hidden.exists()
    assert not staged.exists()
