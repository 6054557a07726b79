"""Nodes: immutable descriptions that compare by identity and say what cannot be done with them."""

import copy
import weakref

import pytest

from dask_dispatcher import CollectNode, DataNode, DispatchNode, IndexNode, Op, op

A = op(int)("1")
EVIL = "<script>\x1b[31m\x00\u202e../../etc\n" + "x" * 10**6


def kinds():
    return [
        op(int)("1"),
        A + 1,
        DataNode([1]),
        IndexNode(A, 0),
        CollectNode([A, A]),
    ]


@pytest.fixture(params=range(5), ids=["Op", "operator", "DataNode", "IndexNode", "CollectNode"])
def node(request):
    return kinds()[request.param]


def test_nodes_compare_and_hash_by_identity(node):
    twin = next(other for other in kinds() if repr(other) == repr(node))
    assert node == node
    assert (node == twin, node != twin) == (False, True)
    assert node != 1
    assert len({node, twin}) == 2
    assert {node: "x"}[node] == "x"


def test_the_label_can_be_assigned(node):
    before = hash(node)
    node.label = "mine"
    assert node.label == "mine"
    assert "mine" in repr(node)
    assert hash(node) == before


def test_the_label_of_one_node_is_its_own():
    factory = op(int)
    first, second = factory("1"), factory("1")
    first.label = "mine"
    assert (second.label, factory.label) == ("int", "int")


@pytest.mark.parametrize("label", [None, 3, b"x", ["x"]])
def test_labels_are_text(node, label):
    with pytest.raises(TypeError, match="label must be a str"):
        node.label = label


@pytest.mark.parametrize(
    "name", ["key", "dependencies", "func", "args", "kwargs", "value", "index", "node", "new"]
)
def test_all_else_cannot_be_assigned(node, name):
    with pytest.raises(AttributeError):
        setattr(node, name, 1)


def test_the_label_is_no_part_of_the_key():
    factory = op(int, pure=True)
    first, second, third = factory("1"), factory("1"), factory.options(label="other")("1")
    second.label = "mine"
    assert first.key == second.key == third.key
    key = A.key
    A.label = "renamed"
    try:
        assert A.key == key
    finally:
        A.label = "int"


def test_keys_are_unique_and_stay(node):
    twin = next(other for other in kinds() if repr(other) == repr(node))
    assert type(node.key) is str
    assert node.key == node.key
    assert node.key != twin.key


def test_copies_are_the_node_itself(node):
    assert copy.copy(node) is node
    assert copy.deepcopy([node])[0] is node


def test_nodes_can_be_referred_to_weakly():
    node = op(int)("1")
    ref = weakref.ref(node)
    assert ref() is node
    del node
    assert ref() is None


def test_dependencies_are_distinct_in_argument_order_then_after():
    a, b, c, d, e = (op(int)(text) for text in "12345")
    factory = op(lambda *args, **kwargs: None, after=[e, d, a, e])
    node = factory(b, [c, {"k": b}], a, x=(c, b), y=d)
    assert node.dependencies == (b, c, a, d, e)
    assert DataNode(a).dependencies == ()
    assert IndexNode(a, b).dependencies == (a,)
    assert CollectNode([b, a, b]).dependencies == (b, a)
    assert op(int)("1").dependencies == ()


# What each kind is


def test_a_data_node_is_never_searched():
    value = [A]
    node = DataNode(value)
    assert node.value is value
    assert node.evaluate(None) is value
    assert node.dependencies == ()
    assert node.label == "data"


def test_an_index_node_is_one_item():
    node = IndexNode(A, "k")
    assert (node.node, node.index) == (A, "k")
    assert node.evaluate({A: {"k": 5}}.__getitem__) == 5
    assert node.label == "int['k']"


def test_labels_of_chains_of_indices_stay_short():
    node = A
    for _ in range(100_000):
        node = node[0]
    assert node.label == "…[0]"
    assert len(A["x" * 1000].label) < 100


def test_an_index_without_a_repr_has_a_label():
    class Index:
        def __repr__(self):
            raise RuntimeError("no")

    assert A[Index()].label == "int[Index]"


def test_a_collect_node_is_the_list_of_their_results():
    other = op(int)("2")
    node = CollectNode(iter([A, other, A]))
    assert node.nodes == (A, other, A)
    assert node.evaluate({A: 1, other: 2}.__getitem__) == [1, 2, 1]
    assert node.label == "collect"
    assert CollectNode([]).evaluate(None) == []


def test_a_collect_node_has_as_many_items_as_nodes():
    first, second = CollectNode([A, op(int)("2")])
    assert [type(part) for part in (first, second)] == [IndexNode, IndexNode]
    assert (first.index, second.index) == (0, 1)
    assert list(CollectNode([])) == []


@pytest.mark.parametrize("bad", [3, "text", None, [A]])
def test_only_nodes_can_be_indexed_and_collected(bad):
    with pytest.raises(TypeError, match="wrap it in DataNode"):
        IndexNode(bad, 0)
    with pytest.raises(TypeError, match="wrap it in DataNode"):
        CollectNode([A, bad])


def test_a_collect_node_takes_several_nodes():
    with pytest.raises(TypeError, match=r"CollectNode\(\[node"):
        CollectNode(A)
    with pytest.raises(TypeError):
        CollectNode(3)


def test_the_base_is_no_node_by_itself():
    base = DispatchNode()
    with pytest.raises(NotImplementedError):
        base.evaluate(None)


# Taking apart


def test_unpack_gives_that_many_items():
    parts = A.unpack(3)
    assert [(part.node, part.index) for part in parts] == [(A, 0), (A, 1), (A, 2)]
    assert A.unpack(0) == ()


@pytest.mark.parametrize(("n", "error"), [(-1, ValueError), ("2", TypeError), (True, TypeError)])
def test_unpack_takes_a_count(n, error):
    with pytest.raises(error):
        A.unpack(n)


def pair() -> tuple[int, str]: ...


@pytest.mark.parametrize("factory", [op(pair), op(int, nout=2), op(nout=2)(lambda *a: a)])
def test_nodes_of_known_length_can_be_unpacked(factory):
    node = factory(*(["1"] if factory.func is int else []))
    first, second = node
    assert (first.node, first.index, second.index) == (node, 0, 1)
    with pytest.raises(ValueError, match="too many values"):
        (first,) = node
    with pytest.raises(ValueError, match="not enough values"):
        first, second, third = node
    assert [part.index for part in node] == [0, 1]


def test_nodes_of_unknown_length_say_how_to_unpack_them():
    for use in (iter, list, tuple, sorted, lambda node: [*node], lambda node: dict(node)):
        with pytest.raises(TypeError, match=r"nout=.*tuple\[A, B\].*node\.unpack\(n\)"):
            use(A)
    with pytest.raises(TypeError, match="no known length"):
        a, b = A


# What cannot be done before it runs, and the remedy


def test_a_node_has_no_truth(node):
    for use in (bool, lambda n: not n, lambda n: n and 1, lambda n: [x for x in [1] if n]):
        with pytest.raises(TypeError, match="no truth value before it runs; decide inside an op"):
            use(node)
    with pytest.raises(TypeError, match="truth value"):
        max(A, A + 1)
    with pytest.raises(TypeError, match="truth value"):
        _ = 0 < A < 3


def test_a_node_has_no_length(node):
    with pytest.raises(TypeError, match=r"use op\(len\)\(node\)"):
        len(node)


def test_a_node_has_no_members(node):
    with pytest.raises(TypeError, match=r"use op\(operator\.contains\)"):
        _ = 1 in node


def test_a_node_has_no_attributes_of_its_value(node):
    with pytest.raises(AttributeError, match=r"op\(getattr\)\(node, 'shape'\)") as error:
        _ = node.shape
    assert (error.value.name, error.value.obj) == ("shape", node)
    assert not hasattr(node, "shape")
    assert getattr(node, "shape", 5) == 5
    with pytest.raises(AttributeError, match=type(node).__name__):
        node.upper()


@pytest.mark.parametrize("use", [int, float, complex, str.upper, range, next, reversed])
def test_a_node_is_no_number_text_or_iterator(use):
    with pytest.raises(TypeError):
        use(A)


# Its text


def test_the_repr_names_kind_and_label(node):
    assert repr(node) == f"<{type(node).__name__} {node.label!r}>"


def test_the_repr_is_short_and_safe(node):
    node.label = EVIL
    assert len(repr(node)) < 300
    assert repr(node).isprintable()
    assert str(node) == repr(node)
    assert node.label == EVIL


def test_errors_show_evil_labels_safely():
    node = op(int, label=EVIL)("1")
    for use in (bool, len, iter, lambda n: 1 in n):
        with pytest.raises(TypeError) as error:
            use(node)
        assert len(str(error.value)) < 500
        assert str(error.value).isprintable()


def test_the_repr_of_a_deep_node_is_no_deeper():
    node = op(int)("0")
    for _ in range(100_000):
        node = Op(abs, [node])
    assert repr(node) == "<Op 'abs'>"
    assert (node == A, node == node) == (False, True)
    assert hash(node) == hash(node)
