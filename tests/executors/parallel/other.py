"""Another process whose memory is to be read: it says where, and lives until it is told to end."""

import ast
import subprocess
import sys
from types import TracebackType

_PROGRAM = """
import sys
from dask_dispatcher.executors.parallel.memory import Witness, address_of, allow_readers
allow_readers()
witness, data = Witness(), bytes(range(256)) * 20_000
print((witness.identity, (address_of(data), len(data))), flush=True)
sys.stdin.read()
"""


class Other:
    """The process.

    Attributes
    ----------
    identity : Identity
    region : Region
        Of `content`.
    """

    content = bytes(range(256)) * 20_000

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.identity, self.region = ast.literal_eval(self._process.stdout.readline())
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20)

    def __enter__(self) -> "Other":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._process.__exit__(kind, error, traceback)
