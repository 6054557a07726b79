"""Replay real workflows, WfFormat 1.5 instances, and compare with the ideal schedule.

    python benchmarks/replay.py FILE [FILE …] --executor async|parallel|dask [--peer] [--out TABLE.md]

Every task becomes a call of the function of its category. Run times are scaled so that they add up
to `--seconds`, file sizes by `--bytes-scale`. The makespan, graph building included, is held
against an ideal critical-path list schedule that knows every run time and moves data in no time,
and against the lower bound max(critical path, work ÷ workers). Every value's size is checked.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

# For `python -m benchmarks.replay`, which starts in the folder above.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench.cluster import exit_on_sigterm
from bench.instances import load_instance
from bench.replaying import EXECUTORS, find_instances, open_players, replay_all
from bench.report import machine_line, workflow_table
from bench.workloads import loops_for


def main() -> None:
    """Replay the files of the command line; print the table, and write it where asked to."""
    exit_on_sigterm()
    options = _parse()
    instances = [load_instance(path) for path in find_instances(options.files)]
    speed = float(loops_for(1.0)) if options.spin else None
    with ExitStack() as stack:
        executors = options.executor or ["async"]
        players = open_players(
            stack, executors, options.workers, options.scheduler, peer=options.peer
        )
        found = replay_all(
            instances,
            players,
            options.workers,
            options.seconds,
            bytes_scale=options.bytes_scale,
            rounds=options.rounds,
            loops_per_second=speed,
        )
        page = _page(options, workflow_table(list(found)))
    print(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help=".json or .json.gz, or a folder")
    add("--executor", action="append", choices=EXECUTORS, help="repeat for more (async)")
    add("--peer", action="store_true", help="also dask.delayed on the same cluster")
    add("--scheduler", metavar="ADDRESS", help="a running one; else a stock cluster is started")
    add("--workers", type=int, default=2, help="how many, one thread each (2)")
    add("--seconds", type=float, default=20.0, help="work in all, after scaling (20)")
    add("--bytes-scale", type=float, metavar="S", help="of file sizes (1, or to 200 MB in all)")
    add("--rounds", type=int, default=1, help="rounds; medians are shown (1)")
    add("--spin", action="store_true", help="pure-Python CPU work instead of sleeping")
    add("--out", type=Path, metavar="TABLE.md", help="write the table here, too")
    return parser.parse_args()


def _page(options: argparse.Namespace, table: str) -> str:
    work = "pure-Python work" if options.spin else "sleeps"
    head = (
        f"# Replayed workflows\n\n{options.workers} workers x 1 thread, {work} of "
        f"{options.seconds:g} s in all, median of {options.rounds}. {machine_line()}."
    )
    return f"{head}\n\n{table}\n"


if __name__ == "__main__":
    main()
