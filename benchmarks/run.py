"""Measure our executors beside their peers and write RESULTS.md and results.svg.

Graphs of Dask's collections, if they are all that is asked for, have a page of their own,
COLLECTIONS.md.

    python benchmarks/run.py                              everything, some 20 minutes
    python benchmarks/run.py --only collections           COLLECTIONS.md, some 6 minutes
    python benchmarks/run.py --quick                      small sizes, a minute
    python benchmarks/run.py --only wide,chain -n 10000   part of it

A part, or a quick run, is printed and not written, unless `--out` says where.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before numpy is loaded: one thread a call, as Dask asks for and gives its own workers; two on a
# busy machine take from once to ten times as long.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

# For `python -m benchmarks.run`, which starts in the folder above.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench.cluster import exit_on_sigterm
from bench.dask_graphs import GRAPHS
from bench.picture import draw
from bench.replaying import find_instances
from bench.suite import Page, Plan, measure_all

HERE = Path(__file__).resolve().parent
TITLES = {"RESULTS.md": "Measured", "COLLECTIONS.md": "Dask's collections, measured"}
SECTIONS = "startup build memory wide chain tree layered seed cpu mixed data kill observers"
SECTIONS += " heavy fairness collections channels workflows"


def main() -> None:
    """Measure what the command line asks for, then write or print the page."""
    exit_on_sigterm()
    options = _parse()
    page = measure_all(_plan(options))
    whole = not options.only or options.only == {"collections"}
    part = options.quick or options.engines or options.n or not whole
    folder = options.out or (None if part else HERE)
    command = " ".join(["python benchmarks/run.py", *_without_paths(options)])
    if folder is None:
        print(page.text(command))
    else:
        alone = options.only and options.only <= {"collections", *GRAPHS}
        _write(page, folder, command, "COLLECTIONS.md" if alone else "RESULTS.md")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="small sizes and few rounds: does it work?")
    add("--only", type=_names, default=frozenset(), help=f"of: {SECTIONS.replace(' ', ',')}")
    add("--engines", type=_names, default=frozenset(), help="names as in the tables, by commas")
    add("-n", type=_sizes, help="sizes of the tiny shapes (1000,10000,100000)")
    add("--cluster-n", type=_sizes, help="the same on a Dask cluster (1000)")
    add(
        "--rounds",
        type=int,
        help="rounds of an engine that takes 0.4 to 5 s; quicker ones get more (5)",
    )
    add("--workflows", type=Path, nargs="+", default=[], help="WfFormat files, or their folder")
    add("--out", type=Path, help="folder to write RESULTS.md and results.svg to")
    return parser.parse_args()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def _plan(options: argparse.Namespace) -> Plan:
    quick = options.quick
    return Plan(
        sizes=options.n or ([1_000] if quick else [1_000, 10_000, 100_000]),
        cluster_sizes=options.cluster_n or ([100] if quick else [1_000]),
        many=50_000 if quick else 1_000_000,
        observed=10_000 if quick else 100_000,
        share=0.1 if quick else 1.0,
        rounds=options.rounds or (1 if quick else 5),
        only=options.only,
        engines=options.engines,
        workflows=find_instances(options.workflows),
    )


def _without_paths(options: argparse.Namespace) -> list[str]:
    """Repeat the options that shaped the figures; where files are is nobody's business."""
    said = ["--quick"] if options.quick else []
    said += ["--only " + ",".join(sorted(options.only))] if options.only else []
    said += ["--engines " + ",".join(sorted(options.engines))] if options.engines else []
    said += ["-n " + ",".join(map(str, options.n))] if options.n else []
    said += ["--cluster-n " + ",".join(map(str, options.cluster_n))] if options.cluster_n else []
    said += [f"--rounds {options.rounds}"] if options.rounds else []
    return said + (["--workflows …"] if options.workflows else [])


def _write(page: Page, folder: Path, command: str, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = page.text(command, TITLES[name])
    if page.pictured:
        draw(page.pictured, folder / "results.svg", f"n = {page.pictured[0].size:,}, one process")
        text += "\n![µs a node, build and run, by shape and engine](results.svg)\n"
    (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
