"""The shape of a LightGBM text, checked before LightGBM reads it: it trusts what it is given.

A child that points back to its parent makes a prediction last for ever, an index past an array
reads or writes memory that is not the model's, and a large count takes all memory.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

_MOST_LEAVES, _MOST_TREES = 131_072, 100_000
_HEADER = {
    "version": re.compile("v[34]"),
    "num_class": re.compile("1"),
    "num_tree_per_iteration": re.compile("1"),
    "label_index": re.compile("[0-9]{1,6}"),
    "max_feature_idx": re.compile("[0-9]{1,6}"),
    "objective": re.compile("binary sigmoid:1|regression"),
}
_HEADER_NAMES = {*_HEADER, "feature_names", "feature_infos", "tree_sizes"}
_ARRAYS = {
    "split_feature": "split",
    "split_gain": "split",
    "threshold": "split",
    "decision_type": "split",
    "left_child": "split",
    "right_child": "split",
    "internal_value": "split",
    "internal_weight": "split",
    "internal_count": "split",
    "leaf_value": "leaf",
    "leaf_weight": "leaf",
    "leaf_count": "leaf",
}
_INTEGERS = {"split_feature", "decision_type", "left_child", "right_child", "internal_count"} | {
    "leaf_count"
}
_SCALARS = {"num_leaves": "", "num_cat": "0", "is_linear": "0", "shrinkage": ""}
_RANGE = re.compile(r"none|\[[-+.0-9einf]{1,32}:[-+.0-9einf]{1,32}\]")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
# Numerical splits alone: bit 0 is a category, bit 1 the default side, bits 2 and 3 the missing.
_DECISIONS = frozenset({"0", "2", "4", "6", "8", "10"})


def require_model_text(text: str, features: Sequence[str]) -> None:
    """Raises ValueError unless `text` is a model of numerical splits on these features."""
    trees, end, rest = text.partition("end of trees\n")
    blocks = trees.split("Tree=")
    header = _pairs(blocks[0].removeprefix("tree\n"))
    if not end or not text.startswith("tree\n") or "\0" in text:
        raise ValueError("it is no text of trees")
    _require_header(header, features)
    sizes = header["tree_sizes"].split()
    if len(sizes) != len(blocks) - 1 or not 0 < len(sizes) <= _MOST_TREES:
        raise ValueError("it has another number of trees")
    for number, (block, size) in enumerate(zip(blocks[1:], sizes, strict=True)):
        if size != str(len(f"Tree={block}".encode())):
            raise ValueError(f"tree {number} has another length")
        _require_tree(block, number, len(features))
    _require_importances(rest, features)


def _pairs(block: str) -> dict[str, str]:
    """The lines `name=value` of a block, which an empty line would end for LightGBM."""
    block = block.rstrip("\n")
    lines = [line.partition("=") for line in block.split("\n")] if block else []
    pairs = {name: value for name, equals, value in lines if equals}
    if len(pairs) != len(lines):
        raise ValueError("a line is none, or is there twice")
    return pairs


def _require_header(header: Mapping[str, str], features: Sequence[str]) -> None:
    if header.keys() != _HEADER_NAMES:
        raise ValueError("its header has other fields")
    for name, pattern in _HEADER.items():
        if not pattern.fullmatch(header[name]):
            raise ValueError(f"its {name} is another one")
    if tuple(header["feature_names"].split(" ")) != tuple(features):
        raise ValueError("it has other features")
    if header["max_feature_idx"] != str(len(features) - 1):
        raise ValueError("it has another number of features")
    ranges = header["feature_infos"].split(" ")
    if len(ranges) != len(features) or not all(map(_RANGE.fullmatch, ranges)):
        raise ValueError("it has other ranges")


def _require_tree(block: str, number: int, features: int) -> None:
    first, _, rest = block.partition("\n")
    fields = _pairs(rest)
    leaves = fields.get("num_leaves", "")
    if first != str(number) or not _INTEGER.fullmatch(leaves):
        raise ValueError(f"tree {number} is none")
    count = int(leaves)
    if not 0 < count <= _MOST_LEAVES or not fields.keys() <= _ARRAYS.keys() | _SCALARS.keys():
        raise ValueError(f"tree {number} has other fields")
    if any(fields.get(name) != value for name, value in _SCALARS.items() if value):
        raise ValueError(f"tree {number} is of another kind")
    _require_number(fields.get("shrinkage", ""))
    values = {
        name: _array(fields, name, count - 1 if kind == "split" else count)
        for name, kind in _ARRAYS.items()
        if count > 1 or name == "leaf_value"
    }
    if count > 1:
        _require_splits(values, features, count)


def _array(fields: Mapping[str, str], name: str, length: int) -> list[str]:
    values = fields.get(name, "").split(" ")
    if len(values) != length:
        raise ValueError(f"{name} has another length")
    check: Callable[[str], None] = _require_integer if name in _INTEGERS else _require_number
    for value in values:
        check(value)
    return values


def _require_splits(values: Mapping[str, Sequence[str]], features: int, leaves: int) -> None:
    """Each leaf and each split but the first is the child of one split that stands before it."""
    if not all(0 <= int(index) < features for index in values["split_feature"]):
        raise ValueError("a split is on no feature")
    if not _DECISIONS.issuperset(values["decision_type"]):
        raise ValueError("a split is of another kind")
    children = []
    for split, pair in enumerate(zip(values["left_child"], values["right_child"], strict=True)):
        for child in map(int, pair):
            if 0 <= child <= split:
                raise ValueError("a split leads back")
            children.append(child)
    if sorted(children) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise ValueError("its splits are no tree")


def _require_integer(text: str) -> None:
    if not _INTEGER.fullmatch(text):
        raise ValueError("an integer is none")


def _require_number(text: str) -> None:
    if "_" in text or not text or math.isnan(float(text)):
        raise ValueError("a number is none")


def _require_importances(rest: str, features: Sequence[str]) -> None:
    """What follows up to the parameters, which nobody reads: see `without_parameters`."""
    title, *lines = without_parameters(rest).strip("\n").split("\n")
    pairs = _pairs("\n".join(lines))
    is_counted = all(_INTEGER.fullmatch(count) for count in pairs.values())
    if (
        title not in ("", "feature_importances:")
        or not pairs.keys() <= {*features}
        or not is_counted
    ):
        raise ValueError("its importances are none")


def without_parameters(text: str) -> str:
    """The trees alone: no score needs the parameters, and LightGBM trusts those it reads."""
    return text.partition("\nparameters:")[0]
