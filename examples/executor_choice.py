"""The options ``--executor`` and ``--scheduler`` that the examples share."""

import argparse
from collections.abc import Callable

import dask_dispatcher
from dask_dispatcher import Executor

CLASSES = {"async": "AsyncExecutor", "parallel": "ParallelExecutor", "dask": "DaskExecutor"}


def add_executor_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Let the user choose where the graph runs."""
    parser.add_argument(
        "--executor",
        choices=CLASSES,
        default=default,
        help="threads of this process, local processes, or Dask (default: %(default)s)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="with --executor dask: the scheduler, such as tcp://host:8786"
        " (default: one that Dask knows of, else a cluster on this machine for this run)",
    )


def open_executor(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Executor:
    """Return the executor the user chose, or end the program with a line that says why not."""
    if options.scheduler and options.executor != "dask":
        parser.error("--scheduler needs --executor dask")
    name = CLASSES[options.executor]
    make: Callable[..., Executor] | None = getattr(dask_dispatcher, name, None)
    if make is None:
        parser.error(f"this version of dask-dispatcher has no {name} yet")
    try:
        return make(options.scheduler) if options.executor == "dask" else make()
    except ValueError as error:
        parser.error(str(error))
