"""A census of the standard library, what ``dask dispatch demo`` and ``examples/stdlib_census.py`` run.

One graph runs over the files, a second over what the first one found::

    for each file                           for each package       overall

    read ──> parse ──> measure ─┐
      └────────│─────────^      ├ · · · ──> summarise ──┬────────> totals, biggest, …
               └─────> resolve ─┘                       └─> join ─> cycles, tangled, …
                         ^
          index modules ─┘
                                     first graph · · · second graph

- `files` finds the sources, and writes three broken ones.
- `source` reads, parses and measures one file.
- `imports` resolves the imports of one file, and finds fan-in, fan-out and cycles among all.
- `reductions` turns many files into one package, and many packages into the answer.
- `graphs` makes nodes of those functions and runs them.
- `steps` observes the runs. Only these two modules use dask-dispatcher.
- `report` prints the answer and writes the JSON run file.

What the steps return are plain dicts, typed here as `TypedDict`: they cost little to move between
processes, need no class at the other end, and go into the run file as they are.
"""
