"""A census of the standard library of the Python that runs this.

Every source file is read, parsed and measured, and its imports are resolved, each step a node of
its own; then packages and the whole are reduced to the biggest, the longest and the most tangled.
Files that do not parse are part of the answer: their errors are values.

    python examples/stdlib_census.py                             # Dask, a cluster made for the run
    python examples/stdlib_census.py --scheduler tcp://host:8786 # a Dask cluster that is there
    python examples/stdlib_census.py --executor async            # threads of this process

Workers read the files by their path, so those on other machines need the same Python in the same
place. What this program is made of, one graph over the files and one over what that found, is in
``dask_dispatcher.demo``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dask_dispatcher import DispatcherError
from dask_dispatcher.demo.files import stdlib_files, write_broken_files
from dask_dispatcher.demo.graphs import Census, take_census
from dask_dispatcher.demo.report import OutputError, check_output, print_census, write_run_file
from executor_choice import add_executor_options, open_executor


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the census; return the program's exit code."""
    parser, options = parse_arguments(arguments)
    try:
        check_output(options.out, force=options.force)
    except OutputError as error:
        parser.error(str(error))
    try:
        found = run_census(parser, options)
        write_run_file(options.out, found, options.executor)
    except (DispatcherError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print_census(found)
    print(
        f"\n{found.steps.nodes:,} nodes on {options.executor} in {found.seconds:.1f} s:"
        f" {found.ok:,} results Ok, {found.err:,} Err"
        f"\nThe whole answer is in {options.out}"
    )
    # Broken files are part of the answer; but with none that is good there is no answer.
    return 0 if found.answer["totals"]["files"] else 1


def run_census(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Census:
    sources = stdlib_files()[: options.limit]
    with TemporaryDirectory() as folder, open_executor(parser, options) as executor:
        sources += write_broken_files(Path(folder))
        return take_census(executor, sources, progress=options.progress)


def parse_arguments(
    arguments: Sequence[str] | None,
) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description="A census of Python's standard library.")
    add_executor_options(parser, default="dask")
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="count only the first N files (default: all)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=Path("census-run.json"),
        help="where the answer goes as JSON; an earlier census is replaced (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE, whatever it holds")
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show how far the run is",
    )
    return parser, parser.parse_args(arguments)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
