"""Run DaskExecutor's own policy on simulated clusters of 2 to 1,000 workers.

    python benchmarks/simulate.py [FILE …] [--workers 2,8,32] [--out SCALE.md]

Files are WfFormat 1.5 instances, or folders of them; random graphs run beside them. Nothing sleeps:
the makespans follow from the graphs and from `bench.simulated.Model`, and are the same on every
machine. Only the table of the policy's own cost is measured.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

# For `python -m benchmarks.simulate`, which starts in the folder above.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench.instances import load_instance, scale
from bench.replaying import default_bytes_scale, find_instances
from bench.report import machine_line
from bench.scale import WORKERS, cost_table, layered, makespan_table, simulate, wide
from bench.simulated import Model


def main() -> None:
    """Simulate what the command line asks for; print the page, and write it where asked to."""
    options = _parse()
    graphs = [
        scale(instance, seconds=options.seconds, bytes_scale=default_bytes_scale(instance))
        for instance in map(load_instance, find_instances(options.files))
    ]
    if options.random:
        graphs.append(layered(options.random, max(1, options.random // 5), seed=1))
        graphs.append(wide(options.random, 0.01))
    found = []
    for each in simulate(graphs, [int(count) for count in options.workers.split(",")]):
        print(each.instance.name, each.workers, file=sys.stderr, flush=True)
        found.append(each)
    page = _PAGE.format(
        model=_model(),
        seconds=options.seconds,
        makespans=makespan_table(found),
        costs=cost_table(found),
        machine=machine_line(),
    )
    print(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", type=Path, nargs="*", metavar="FILE", help=".json or .json.gz, or a folder")
    add("--workers", default=",".join(map(str, WORKERS)), help="numbers, with commas")
    add("--seconds", type=float, default=20.0, help="work of a workflow, after scaling (20)")
    add(
        "--random",
        type=int,
        default=1000,
        metavar="N",
        help="nodes of random graphs (1000; 0: none)",
    )
    add("--out", type=Path, metavar="SCALE.md", help="write the page here, too")
    return parser.parse_args()


def _model() -> str:
    model = Model()
    return ", ".join(f"`{field.name}` {getattr(model, field.name):g}" for field in fields(model))


_PAGE = """# Simulated

Written by `python benchmarks/simulate.py`. The engine of `DaskExecutor` (schedule, groups, placing,
packing, reports) is the real one; the cluster and the clock are simulated. Workers have one thread;
workflows are scaled to {seconds:g} s of work. Model, in seconds and bytes a second: {model}.

## Makespan against an ideal list schedule

The ideal knows every run time, and moves data in no time. *Cold* is the first run of an executor,
*warm* the second, which knows what functions cost. *At once*: Dask tasks that the scheduler had at
the same time, at most. The model charges the drive thread the same for a task, however many workers
there are.

{makespans}

## What choosing a worker costs the program

Measured, not simulated: what the turns of the drive loop really took, on {machine}.
They include packing and pickling, and opening the parcels for the simulated workers.

{costs}
"""


if __name__ == "__main__":
    main()
