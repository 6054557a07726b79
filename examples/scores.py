"""The program that the manual opens with, made to run on files it writes itself.

The last of the files is bad, so that there is an error to look at.

    python examples/scores.py --executor async
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory

from dask_dispatcher import DispatcherError, DispatchNode, Err, Ok, op
from executor_choice import add_executor_options, open_executor

FILES = {
    "spring.csv": "day,hours\nmon,4\ntue,6\nwed,8\n",
    "summer.csv": "day,hours\nmon,14\ntue,15\nwed,16\n",
    "autumn.csv": "day,hours\nmon,7\ntue,5\nwed,6\n",
    "winter.csv": "day,hours\nmon,none\ntue,1\nwed,2\n",
}


@op
def load(path: str) -> list[float]:
    with Path(path).open(newline="") as file:
        return [float(row["hours"]) for row in csv.DictReader(file)]


@op(retries=3, retry_on=(ConnectionError,))
def score(data: list[float], reference: float) -> float:
    return sum(data) / len(data) - reference


def build(paths: list[str]) -> DispatchNode[float]:
    """Return the node for how far the best score is above the worst."""
    reference = op(add)(1, 2)  # any callable
    scores = [score(load(path), reference) for path in paths]
    best = op(max)(scores)  # nodes inside lists, tuples and dicts are found
    return best - op(min)(scores)  # operators build nodes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the graph over the good files, then over all of them."""
    parser = argparse.ArgumentParser(description="Scores of files, one of which is bad.")
    add_executor_options(parser, default="dask")
    options = parser.parse_args(arguments)
    try:
        with TemporaryDirectory() as folder, open_executor(parser, options) as executor:
            paths = write_files(Path(folder))
            for chosen in (paths[:3], paths):
                (result,) = executor.run([build(chosen)], raise_errors=False)
                match result:
                    case Ok(future):
                        print(f"{len(chosen)} files: the scores spread over {future.fetch()}")
                    case Err(error):
                        print(f"{len(chosen)} files: {error.label} failed: {error.__cause__}")
    except DispatcherError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def write_files(folder: Path) -> list[str]:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in FILES]


if __name__ == "__main__":
    sys.exit(main())
