"""Draw the time a node of every engine as a small SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.measure import Comparison

BAR = 0.8  # of the room a workload has; the rest is the gap to the next one


def draw(comparisons: Sequence[Comparison], path: Path, title: str) -> None:
    """Draw one group of bars a workload, one bar an engine, on a logarithmic scale."""
    names = list(dict.fromkeys(name for c in comparisons for name in c.timings))
    width = BAR / len(names)
    # Text as text, a fixed salt and no date: a small file that changes only with its figures.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9}):
        figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
        for i, name in enumerate(names):
            found = [(at, c.timings[name]) for at, c in enumerate(comparisons) if name in c.timings]
            spots = [at + (i - len(names) / 2 + 0.5) * width for at, _ in found]
            heights = [timing.per_node for _, timing in found]
            bars = axes.bar(spots, heights, width, label=name)
            axes.bar_label(bars, fmt="{:.3g}", fontsize=6, padding=1)
        axes.set_yscale("log")
        axes.set_ylabel("µs a node, build and run")
        axes.set_xticks(range(len(comparisons)), [c.workload.name for c in comparisons])
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
