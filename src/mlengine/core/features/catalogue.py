"""What the features are, for readers: the page `docs/features.md` and the listings."""

from collections.abc import Iterable

from mlengine.core.features.spec import Feature, FeatureSet

_HEAD = """# Features

Made from the declarations by `mlengine features list --markdown > docs/features.md`; change those,
not this page. A feature of your own is declared as [Your own features](own_features.md) says.

Every feature is a function of exactly the last `window` bars of its symbol, the newest included;
`look-back` is how many of them it needs. `x[n]` is x of n bars ago, `f(x, n)` is f over the last n
bars. A value is null where the window isn't full, where the look-back holds a missing value, and
where the formula is undefined, such as 0/0. A feature is `scale-free` when all prices times a power
of two leave every bit of it, as they leave a return. The others hold an amount of money: in
`alpha158` those are 34 in which Qlib adds 1e-12 to prices or asks whether a price deviates by more
than 2e-5; they keep both, since their values are Qlib's. [How the features compare with TA-Lib and
Qlib](feature_peers.md) gives the differences.
"""
_COLUMNS = ("name", "what it says", "formula", "look-back", "unit", "range", "scale-free", "source")


def format_value_range(feature: Feature) -> str:
    """The values that a feature can take, as an interval; without bounds `any`."""
    low, high = feature.low, feature.high
    if low is None:
        return "any" if high is None else f"≤ {high:.6g}"
    return f"≥ {low:.6g}" if high is None else f"{low:.6g} to {high:.6g}"


def catalogue_markdown(feature_sets: Iterable[FeatureSet]) -> str:
    """A page with one table a set."""
    return "\n".join([_HEAD, *(_section(feature_set) for feature_set in feature_sets)])


def _section(feature_set: FeatureSet) -> str:
    lines = [
        f"## `{feature_set.name}`",
        "",
        f"Version {feature_set.version}, {len(feature_set.features)} features, window"
        f" {feature_set.window_bars} bars, hash `{feature_set.hash}`.",
        "",
        _line(_COLUMNS),
        _line("---" for _ in _COLUMNS),
        *(_line(_cells(feature)) for feature in feature_set.features),
    ]
    return "\n".join(lines) + "\n"


def _cells(feature: Feature) -> tuple[str, ...]:
    return (
        f"`{feature.name}`",
        feature.doc,
        f"`{feature.formula}`",
        str(feature.bars),
        feature.unit,
        format_value_range(feature),
        "yes" if feature.scale_free else "no",
        feature.source,
    )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
