"""Which files to count: the standard library's, and three that are broken on purpose."""

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Some builds of Python ship CPython's deliberately broken test files and some strip them, so the
# census brings its own. They are written when it runs: as files of the repository they would not
# survive editors, formatters and line-ending conversion.
BROKEN_SOURCES = {
    "bad_encoding.py": b'"""Says it is UTF-8."""\n\n\nname = "caf\xe9"\n',
    "syntax_error.py": b"def unfinished(:\n    return 1\n",
    "null_byte.py": b"answer = 4\x002\n",
}

NOT_STDLIB = {"site-packages", "dist-packages", "__pycache__"}


class SourceFile(NamedTuple):
    """One file to count."""

    path: str
    name: str  # relative to its root, with forward slashes: what people are shown
    broken: bool = False  # one of the census's own

    @property
    def module(self) -> str:
        """The dotted name the file is imported by."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_package(self) -> bool:
        """Whether relative imports in this file start from the file's own name."""
        return self.name.endswith("/__init__.py")

    @property
    def package(self) -> str:
        """The dotted name of the folder the file is in, '' for modules on the top level."""
        return self.module if self.is_package else self.module.rpartition(".")[0]


def stdlib_files() -> list[SourceFile]:
    """Return every source file of the running Python's standard library, sorted by name."""
    root = Path(sysconfig.get_path("stdlib"))
    names = sorted(path.relative_to(root).as_posix() for path in _sources_below(root))
    return [SourceFile(str(root / name), name) for name in names]


def _sources_below(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        # Also tells `os.walk` where not to go: what is installed may be far more than the library.
        subfolders[:] = set(subfolders) - NOT_STDLIB
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


def write_broken_files(folder: Path) -> list[SourceFile]:
    """Write the three broken files into `folder`."""
    for name, content in BROKEN_SOURCES.items():
        (folder / name).write_bytes(content)
    return [SourceFile(str(folder / name), f"broken/{name}", True) for name in BROKEN_SOURCES]
