"""Where a node was built: the user's own line, whichever way the node came to be."""

import copy
import inspect
import pickle
from functools import partial

import pytest

from dask_dispatcher import AsyncExecutor, CollectNode, DataNode, IndexNode, Op, op
from dask_dispatcher.origins import Origin


def line_of_caller():
    return inspect.currentframe().f_back.f_lineno


class Thing:
    @op
    def double(self, x):
        return 2 * x


BASE = op(int)("1")
WAYS = {
    "op": lambda: op(int)("1"),
    "Op": lambda: Op(int, "1"),
    "keywords": lambda: op(dict)(a=1),
    "decorated": lambda: Thing.double(None, 1),
    "bound": lambda: Thing().double(1),
    "operator": lambda: BASE + 1,
    "reflected": lambda: 1 - BASE,
    "index": lambda: BASE[0],
    "node as index": lambda: BASE[BASE],
    "unpack": lambda: BASE.unpack(2)[1],
    "data": lambda: DataNode(1),
    "index node": lambda: IndexNode(BASE, 0),
    "collect": lambda: CollectNode([BASE]),
}


@pytest.mark.parametrize("build", WAYS.values(), ids=WAYS)
def test_every_way_to_build_a_node_remembers_the_users_line(build):
    origin = build().origin
    assert origin.file == __file__
    assert origin.line == build.__code__.co_firstlineno
    assert origin.function == "<lambda>"
    assert "lambda" in origin.source
    assert str(origin) == f"{__file__}:{origin.line}, in <lambda>"


def test_nodes_of_one_line_share_their_site_and_those_of_two_lines_do_not():
    factory = op(int)
    here = [factory(n) for n in range(3)]
    there = factory(1)
    assert len({id(node._site) for node in here}) == 1
    assert there.origin.line == here[0].origin.line + 1
    assert factory(1).origin != there.origin


def test_a_line_that_alternates_between_two_places_keeps_both():
    factory = op(int)
    lines = [(factory(1).origin.line, factory(2).origin.line) for _ in range(3)]
    assert len(set(lines)) == 1
    nodes = []
    for _ in range(3):
        nodes.append(factory(1))
        nodes.append(factory(2))
    assert [n.origin.line for n in nodes[::2]] == [nodes[0].origin.line] * 3
    assert [n.origin.line for n in nodes[1::2]] == [nodes[0].origin.line + 1] * 3


def test_a_node_that_travelled_has_none_and_a_copy_has_it():
    node = op(int)("1")
    assert pickle.loads(pickle.dumps(node)).origin is None
    assert copy.copy(node).origin == node.origin


def test_code_without_a_file():
    namespace = {"op": op}
    exec(compile("node = op(int)('1')", "<typed in>", "exec"), namespace)
    assert namespace["node"].origin == Origin("<typed in>", 1, "<module>")
    assert namespace["node"].origin.source == ""


def test_a_builder_called_from_c_is_its_nearest_line():
    (node,) = map(partial(op(int), "1"), [10])
    assert node.origin.line == line_of_caller() - 1


def test_a_failure_tells_the_line_and_the_arguments():
    node = op(divmod)(op(int, label="seven")("7"), 0)
    with AsyncExecutor() as executor:
        (result,) = executor.run([node], raise_errors=False)
    error = result.unwrap_err()
    assert error.origin == node.origin
    assert error.arguments == ("0: seven, int", "1: int")
    if hasattr(error, "add_note"):
        first, source, *arguments = error.__notes__
        assert first == f"built at {node.origin}"
        assert "op(divmod)" in source
        assert arguments == ["argument 0: seven, int", "argument 1: int"]
        assert pickle.loads(pickle.dumps(error)).__notes__ == error.__notes__
