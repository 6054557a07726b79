"""Graphs as text: whole, and safe whatever the labels hold."""

import re

import pytest

from dask_dispatcher import DispatchGraph, op
from dask_dispatcher.drawing import shown_label

EVIL = {
    "html": '<script>alert("x")</script><img src=x onerror=y>',
    "entity": "&lt;b&gt; #60; &#60;",
    "ansi": "\x1b[31mred\x1b[0m",
    "nul": "a\x00b",
    "bidi": "abc\u202edef\u2066ghi\u200f",
    "path": "../../etc/passwd",
    "newline": 'a\nb\r\n"]\n n9["x',
    "dot": '"]; evil [label="\\',
    "mermaid": '"] --> evil; click n0 href "javascript:alert(1)"; %%{init: {}}%%',
    "backtick": "`**bold**`",
    "surrogate": "\ud800",
    "end": "end",
    "empty": "",
    "megabyte": "<x>" * 350_000,
}


@pytest.fixture(params=EVIL.values(), ids=EVIL)
def graph(request):
    first = op(int, label=request.param)("1")
    second = first + 1
    second.label = "second"
    return DispatchGraph([second])


def test_a_mermaid_flowchart():
    a = op(int)("1")
    assert DispatchGraph([a + a, -a]).to_mermaid().splitlines() == [
        "flowchart TD",
        '    n0["add"]',
        '    n1["int"]',
        '    n2["neg"]',
        "    n1 --> n0",
        "    n1 --> n2",
    ]


def test_a_dot_digraph():
    a = op(int)("1")
    assert DispatchGraph([-a]).to_dot().splitlines() == [
        "digraph {",
        "    node [shape=box]",
        '    n0 [label="neg"]',
        '    n1 [label="int"]',
        "    n1 -> n0",
        "}",
    ]


def test_empty_graphs():
    assert DispatchGraph().to_mermaid() == "flowchart TD\n"
    assert DispatchGraph().to_dot() == "digraph {\n    node [shape=box]\n}\n"


def test_added_edges_are_drawn():
    a, b = op(int)("1"), op(int)("2")
    graph = DispatchGraph([a, b])
    graph.add_edge(a, b)
    assert "n0 --> n1" in graph.to_mermaid()
    assert "n0 -> n1" in graph.to_dot()


def test_evil_labels_cannot_leave_a_mermaid_box(graph):
    lines = graph.to_mermaid().splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    # Letters, digits, blanks, a few signs, and Mermaid's character references, nothing else.
    assert re.fullmatch(r'    n1\["(\w|[ .,…-]|#\d+;)*"\]', lines[2])
    graph.to_mermaid().encode()


def test_evil_labels_cannot_leave_a_dot_string(graph):
    lines = graph.to_dot().splitlines()
    assert len(lines) == 6
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    assert re.fullmatch(r'    n1 \[label="([^"\\]|\\\\|\\")*"\]', lines[3])
    graph.to_dot().encode()


def test_evil_labels_are_safe_in_reprs(graph):
    for thing in (graph, *graph):
        assert repr(thing).isprintable()
        assert len(repr(thing)) < 500


def test_jupyter_gets_a_picture_and_a_text(graph):
    bundle = graph._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(graph)
    assert bundle["image/svg+xml"] == graph.to_svg()
    assert bundle["text/vnd.mermaid"] == graph.to_mermaid()


def test_labels_in_any_script_are_shown_as_they_are():
    graph = DispatchGraph([op(int, label="größe 数据 Δ_1")("1")])
    assert '"größe 数据 Δ_1"' in graph.to_mermaid()
    assert '"größe 数据 Δ_1"' in graph.to_dot()


def test_a_shown_label_is_cut_and_printable():
    assert shown_label("plain") == "plain"
    assert shown_label("a\tb\x1b") == "a\\tb\\x1b"
    assert shown_label("x" * 1000) == "x" * 80 + "…"
    assert all(shown_label(label).isprintable() for label in EVIL.values())
