"""What notebooks show: cards of facts, through the real thing, a Jupyter kernel."""

import asyncio
import re
from html.parser import HTMLParser

import nbclient
import nbformat
import pytest

from dask_dispatcher import AsyncExecutor, CollectNode, Err, IndexNode, Ok, op
from dask_dispatcher.cards import card
from tests.test_drawing import EVIL


class Tags(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


HARMLESS = {"div", "b", "span", "table", "tr", "td", "details", "summary", "pre"}


def fail(value):
    raise ValueError(value)


@pytest.mark.parametrize("label", EVIL.values(), ids=EVIL)
def test_evil_labels_stay_text(label):
    node = op(fail, label=label)(label)
    with AsyncExecutor() as executor:
        run = executor.start([node, op(int, label=label)("1")])
        failed, good = run.results()
        shown = [node, IndexNode(node, 0), CollectNode([node]), failed, good, good.value, run]
        cards = [thing._repr_html_() for thing in shown]
    for text in cards:
        assert set(Tags(text).tags) <= HARMLESS
        assert all(line.isprintable() for line in text.splitlines())
        assert len(text) < 100_000
        text.encode()


def test_facts_without_a_value_are_left_out():
    shown = Tags(card("Kind", "name", [("a", "1"), ("b", "")]))
    assert shown.text == "name Kinda1"


def test_results_of_other_things_show_themselves_too():
    assert "ZeroDivisionError" in Tags(Err(ZeroDivisionError("x"))._repr_html_()).text
    assert "24" in Tags(Ok(24)._repr_html_()).text


NOTEBOOK = """
from dask_dispatcher import AsyncExecutor, DispatchGraph, Report, op
executor = AsyncExecutor(max_workers=1)
def load(n):
    return n
def fail():
    raise ValueError("as planned")
node = op(load, label="<b>node</b>")(1)
node
---
DispatchGraph([node + 1])
---
run = executor.start([node, op(fail)()])
results = run.results()
run
---
results[0]
---
results[1]
---
results[0].value
---
import time
def nap(n):
    time.sleep(0.04)
_ = executor.run([op(nap)(n) for n in range(20)], progress=True)
---
executor.close()
"""


def test_a_real_kernel_shows_them(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in NOTEBOOK.split("---\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=50, kernel_name="python3")
    asyncio.run(client.async_execute())
    outputs = [[output.get("data", output) for output in cell.outputs] for cell in notebook.cells]
    node, graph, run, good, bad, future, progress, _ = [out[-1] if out else {} for out in outputs]
    assert "&lt;b&gt;node&lt;/b&gt;" in node["text/html"]
    assert node["text/plain"] == "<Op '<b>node</b>'>"
    assert graph["image/svg+xml"].startswith("<svg ")
    assert "1 done, 1 failed" in run["text/plain"]
    assert "Ok" in good["text/html"]
    assert "as planned" in bad["text/html"]
    assert "Traceback" in bad["text/html"]
    assert "ready" in future["text/html"]
    assert re.fullmatch(r"20/20 nodes, [\d.]+ s", progress["text/plain"])
    assert len(outputs[6]) == 1  # drawn over, not one below the other
