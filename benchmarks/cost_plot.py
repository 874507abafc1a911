"""The picture of `benchmarks.cost`, whose points come as JSON on the standard input."""

from __future__ import annotations

import json
import sys

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLOURS = {"core": "#0072b2", "alpha158": "#d55e00"}
Points = list[dict[str, float]]


def draw(axes: Axes, axis: str, sets: dict[str, Points]) -> None:
    """CPU seconds as dots with their straight line, wall seconds as crosses."""
    count = axis.split(maxsplit=1)[0]
    for name, points in sets.items():
        sizes = np.array([point[count] for point in points])
        cpu = np.array([point["cpu"] for point in points])
        slope, start = np.polyfit(sizes, cpu, 1)
        ends = np.array([0.0, sizes.max()])
        colour = COLOURS[name]
        axes.plot(ends, slope * ends + start, color=colour, linewidth=1.2)
        axes.plot(sizes, cpu, "o", color=colour, label=f"{name}, CPU seconds and their line")
        wall = [point["seconds"] for point in points]
        axes.plot(sizes, wall, "x", color=colour, label=f"{name}, seconds with two threads")
    axes.set_xlabel(axis)
    axes.set_ylabel("seconds")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def main() -> None:
    found: dict[str, dict[str, Points]] = json.load(sys.stdin)
    mpl.use("Agg")
    figure, panels = plt.subplots(1, len(found), figsize=(10, 4), layout="constrained")
    for axes, (axis, sets) in zip(panels, found.items(), strict=True):
        draw(axes, axis, sets)
    figure.savefig(sys.argv[1], dpi=90)


if __name__ == "__main__":
    main()
