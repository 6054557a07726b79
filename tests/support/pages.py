"""Runs the Python examples in Markdown pages: ``pytest -p tests.support.pages PAGE...``.

The blocks of one page are one program, from top to bottom. One that cannot run in a test has
``<!-- skip: next -->`` before it.
"""

from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    path=str(Path(__file__).resolve().parents[2]),
    pattern="*.md",
).pytest()
