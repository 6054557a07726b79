"""``dask dispatch``: run and draw graphs from the command line, through Dask's own.

=====  ====================================================================
exit   means
=====  ====================================================================
0      every requested node has its value; the file was written
1      a node failed, or the run could not be carried out
2      what was asked for makes no sense; nothing has run, nothing is written
130    Ctrl-C
=====  ====================================================================

Errors are one line on standard error, never a traceback of ours. With ``--json``, standard output is
one JSON object; progress and errors stay on standard error.
"""

from __future__ import annotations

import click

from .demo import demo
from .graph import graph
from .run import run

__all__ = ["dispatch"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def dispatch() -> None:
    """Run and draw graphs of delayed calls (dask-dispatcher).

    Exit codes: 0 all well, 1 a node or the run failed, 2 bad arguments, 130 interrupted. Defaults
    come from the section "dispatcher" of Dask's configuration.
    """


for _command in (demo, run, graph):
    dispatch.add_command(_command)
