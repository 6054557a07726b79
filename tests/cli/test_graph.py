"""``dask dispatch graph``: drawings by their ending."""

import pytest

from dask_dispatcher.cli.graph import _ENDINGS
from tests.cli.conftest import parsed

BEGINNINGS = {"mermaid": "flowchart TD", "dot": "digraph {", "svg": "<svg "}


@pytest.mark.parametrize("ending", _ENDINGS)
def test_the_ending_says_what_is_drawn(dispatch_here, folder, ending):
    done = dispatch_here("graph", "program.py:total", "-o", f"out{ending}")
    assert done.exit_code == 0
    assert done.stderr == f"4 nodes and 3 edges are in out{ending}\n"
    assert (folder / f"out{ending}").read_text().startswith(BEGINNINGS[_ENDINGS[ending]])


def test_the_format_can_be_said(dispatch_here, folder):
    done = dispatch_here("graph", "program.py:graph", "-o", "out.txt", "--format", "dot", "--json")
    assert parsed(done) == {"file": "out.txt", "format": "dot", "nodes": 5, "edges": 4}


def test_without_a_file_mermaid_goes_to_standard_output(dispatch_here):
    done = dispatch_here("graph", "program:total")
    assert done.stdout.startswith("flowchart TD\n")
    assert done.stdout.count("-->") == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["program.py:total", "-o", "out.png"], "the ending says nothing"),
        (["program.py:total", "-o", "program.py", "--format", "dot"], "use --force"),
        (["program.py:total", "-o", "no/out.svg"], "no such folder"),
        (["program.py:total", "--json"], "--json needs --output"),
        (["program.py:number", "-o", "out.svg"], "of type int"),
    ],
)
def test_refusals(dispatch_here, folder, arguments, text):
    before = sorted(path.name for path in folder.iterdir())
    done = dispatch_here("graph", *arguments)
    assert done.exit_code == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == [
        n for n in before if n != "__pycache__"
    ]
