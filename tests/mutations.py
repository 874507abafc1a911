"""Texts of models with one thing changed, as a hostile hand would: the digests are right."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

from mlengine.core.versions import manifest as manifests
from mlengine.stores.registry.registry import Registry

_NUMBERS = ("-1", "0", "-2", "999999", "2147483647", "-2147483648", "1e308", "nan", "inf", "99", "")
KILLERS = (
    ("left_child=", "0 -1 -2"),
    ("left_child=", "-99 -1 -2"),
    ("right_child=", "1 2 0"),
    ("split_feature=", "999999 1 1"),
    ("decision_type=", "1 1 1"),
    ("num_leaves=", "2000000000"),
    ("num_cat=", "5"),
    ("max_feature_idx=", "2000000000"),
    ("num_class=", "1000000"),
    ("num_tree_per_iteration=", "0"),
    ("tree_sizes=", "1 1 1 1 1"),
    ("is_linear=", "1"),
    ("objective=", "multiclass num_class:9"),
    ("leaf_value=", ""),
    ("threshold=", "1 2"),
)


def with_field(text: str, name: str, value: str) -> str:
    """The first line of that field with another value, and sizes that fit."""
    changed = re.sub(rf"(?m)^{re.escape(name)}.*$", f"{name}{value}", text, count=1)
    return changed if name == "tree_sizes=" else with_right_sizes(changed)


def with_right_sizes(text: str) -> str:
    trees = re.split(r"(?=^Tree=)", text.partition("end of trees")[0], flags=re.MULTILINE)[1:]
    sizes = " ".join(str(len(tree.encode())) for tree in trees)
    return re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={sizes}", text, count=1)


def mutated(text: str, seed: int) -> str:
    """A number, a line, a letter or a piece of the text changed, taken away or doubled."""
    draw = random.Random(seed)  # noqa: S311 - faults, not secrets
    kind = draw.randrange(6)
    numbers = [*re.finditer(r"-?[0-9][0-9.e+-]*", text)]
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    if kind in (0, 1):
        hit = draw.choice(numbers[: len(numbers) // (1 + 9 * kind)])
        text = text[: hit.start()] + draw.choice(_NUMBERS) + text[hit.end() :]
    elif kind == 2:
        del lines[at]
        text = "\n".join(lines)
    elif kind == 3:
        lines.insert(at, draw.choice(lines))
        text = "\n".join(lines)
    elif kind == 4:
        where = draw.randrange(len(text))
        text = text[:where] + chr(draw.randrange(1, 127)) + text[where + 1 :]
    else:
        first, last = sorted(draw.sample(range(len(text)), 2))
        text = text[:first] + text[last:]
    return with_right_sizes(text) if draw.randrange(2) else text


def publish_text(directory: Path, version: str, text: str, *, copy_of: str = "v1") -> None:
    """A version like another one but for its model, with digests that are right."""
    content = text.encode()
    manifest = Registry(directory).manifest(copy_of)
    files = {**manifest.files, "model.txt": hashlib.sha256(content).hexdigest()}
    shutil.copytree(directory / copy_of, directory / version, dirs_exist_ok=True)
    (directory / version / "model.txt").write_bytes(content)
    (directory / version / "manifest.json").write_bytes(
        manifests.dump(replace(manifest, version=version, files=files))
    )
