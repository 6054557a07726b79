"""Run Dask's own tests, as its wheel ships them, with our executors as the scheduler.

    python benchmarks/dask_suite.py
    python benchmarks/dask_suite.py --parts bag --under async -k fold

Whole, it takes some hours, most of them on the cluster. Writes a table to docs/dask-suite.md, or
prints it if only a part was asked for; fails if a test that passes with Dask's synchronous
scheduler fails with ours for no known reason.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bench.dask_outcomes import EXCLUDED, PARTS, Comparison, compare, is_possible, kept, pages
from bench.report import machine_line

PAGE = HERE.parent / "docs" / "dask-suite.md"
HEAD = """# Dask's own tests on our executors

Written by `make dask-suite`. {machine}.

Each test of Dask's wheel runs twice: with Dask's synchronous scheduler, and with an executor of ours,
under whatever name of a scheduler the test asks for. What passes with the one has to pass with the
other. Tests that Dask marks as slow, or as in need of the network or a GPU, are left out.
`DaskExecutor` runs on workers that are threads of the tests' process, where they find what a test has
defined and set; a graph and its values go to them by reference. Where the number of tests run is bold, the
run was stopped, and goes on from there (`--keep`).
"""


def main() -> None:
    """Run what the command line asks for; write or print the page."""
    options = _parse()
    parts = [part for part in options.parts.split(",") if is_possible(part)]
    found = []
    with tempfile.TemporaryDirectory(prefix="dask-suite-") as temporary:
        folder = options.keep or Path(temporary)
        schedulers = options.under.split(",")
        run = kept(parts, schedulers, folder) if options.as_is else None
        for comparison in run or compare(parts, schedulers, folder, options.k):
            found.append(comparison)
            _say(comparison)
    text = f"{HEAD.format(machine=machine_line())}\n{pages(found)}\n"
    everything = (",".join(PARTS), ",".join(EXCLUDED), "")
    is_whole = (options.parts, options.under, options.k) == everything
    (PAGE.write_text(text, encoding="utf-8") if is_whole else print(text))
    sys.exit(any(comparison.unexplained for comparison in found))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--parts", default=",".join(PARTS), help="by commas; default: all")
    add("--under", default=",".join(EXCLUDED), help="executors, by commas; default: all")
    add("-k", default="", help="only these tests, as for pytest")
    add(
        "--keep",
        type=Path,
        help="folder for logs and outcomes; tests that it tells of are not run again",
    )
    add("--as-is", action="store_true", help="run nothing; lay out what --keep's folder tells of")
    return parser.parse_args()


def _say(comparison: Comparison) -> None:
    expected, passed = len(comparison.expected), comparison.passed
    print(f"{comparison.part} on {comparison.under}: {passed} of {expected}", file=sys.stderr)


if __name__ == "__main__":
    main()
