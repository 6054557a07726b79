"""Pictures of graphs: well-formed, safe whatever the labels hold, and of a size one can look at."""

from xml.etree import ElementTree

import pytest

from dask_dispatcher import AsyncExecutor, DispatchGraph, op
from dask_dispatcher.drawing import COLOURS
from tests.test_drawing import EVIL

SVG = "{http://www.w3.org/2000/svg}"


def boxes_of(picture):
    """Return the drawn boxes as (title, text, rectangle)."""
    root = ElementTree.fromstring(picture)
    found = []
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        if rect is not None:
            found.append((group.find(f"{SVG}title").text, group.find(f"{SVG}text").text, rect))
    return found


def lines_of(picture):
    return list(ElementTree.fromstring(picture).iter(f"{SVG}path"))


def test_each_node_is_a_box_and_each_edge_a_line():
    a, b = op(int, label="a")("1"), op(int, label="b")("2")
    picture = DispatchGraph([a + b]).to_svg()
    boxes = {title: rect for title, _, rect in boxes_of(picture)}
    assert set(boxes) == {"a", "b", "add"}
    assert len(lines_of(picture)) == 2
    assert float(boxes["add"].get("x")) > float(boxes["a"].get("x")) == float(boxes["b"].get("x"))
    assert boxes["a"].get("y") != boxes["b"].get("y")


def test_boxes_do_not_overlap():
    nodes = [op(int, label="x" * n)("1") for n in range(1, 30)]
    layer = [op(max)(a, b) for a, b in zip(nodes, nodes[1:])]
    found = [rect for _, _, rect in boxes_of(DispatchGraph([op(sum)(layer)]).to_svg())]
    places = [
        tuple(float(rect.get(name)) for name in ("x", "y", "width", "height")) for rect in found
    ]
    for i, (x, y, w, h) in enumerate(places):
        for x2, y2, w2, h2 in places[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_states_are_colours():
    def fail():
        raise ValueError

    good, bad = op(int, label="good")("1"), op(fail, label="bad")()
    graph = DispatchGraph([good, bad])
    with AsyncExecutor() as executor:
        run = executor.start(graph)
        run.results(20)
        states = run.states()
    assert states == {good: "done", bad: "failed"}
    fills = {title: rect.get("fill") for title, _, rect in boxes_of(graph.to_svg(states))}
    assert fills == {"good": COLOURS["done"], "bad": COLOURS["failed"]}
    assert f'fillcolor="{COLOURS["failed"]}"' in graph.to_dot(states)
    mermaid = graph.to_mermaid(states)
    assert f"classDef failed fill:{COLOURS['failed']}" in mermaid
    assert '["bad"]:::failed' in mermaid


@pytest.mark.parametrize("label", EVIL.values(), ids=EVIL)
def test_evil_labels_stay_text(label):
    picture = DispatchGraph([op(int, label=label)("1") + 1]).to_svg()
    assert len(boxes_of(picture)) == 2
    assert {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(picture).iter()} == {
        "svg", "g", "path", "rect", "text", "title",
    }  # fmt: skip
    assert all(line.isprintable() for line in picture.splitlines())
    assert len(picture) < 5_000
    picture.encode()


def test_a_large_graph_has_a_box_a_label():
    loads = [op(int, label="load")(str(n)) for n in range(1000)]
    picture = DispatchGraph([op(sum)([op(abs, label="measure")(n) for n in loads])]).to_svg()
    assert sorted(text for _, text, _ in boxes_of(picture)) == [
        "1,000 of load",
        "1,000 of measure",
        "sum",
    ]
    assert len(lines_of(picture)) == 2


def test_a_large_graph_of_many_labels_has_a_box_a_function():
    nodes = [op(int)(str(n)) for n in range(1000)]
    for number, node in enumerate(nodes):
        node.label = f"load {number}"
    first = DispatchGraph([op(sum)([nodes[0][0], *nodes])])
    texts = sorted(text for _, text, _ in boxes_of(first.to_svg()))
    assert texts == ["1,000 of int", "IndexNode", "sum"]


def test_an_empty_graph_is_an_empty_picture():
    assert boxes_of(DispatchGraph().to_svg()) == []
