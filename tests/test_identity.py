"""What makes a node the same node elsewhere: its key in fresh interpreters, and how it pickles."""

import io
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest

from dask_dispatcher import CollectNode, DataNode, DispatchGraph, Op, op
from tests.support.hostile import Hostile

# Keys in fresh interpreters

MODULE = """
from dask_dispatcher import op

NAMES = {"ada", "bob", "cyd", "dot"}

def plain(*args, **kwargs):
    return args

@op(pure=True)
def decorated(*args, **kwargs):
    return "one text", "one text", NAMES

class Cls:
    @op(pure=True)
    def method(self, x):
        return x

    def __dask_tokenize__(self):
        return "Cls", 1
"""

SCRIPT = """
import dataclasses, enum, functools, operator, sys
import numpy as np
import functions
from dask_dispatcher import op

words = ["ada", "bob", "cyd", "dot", "eve", "fay"]

def local(*args, **kwargs):
    "A function of __main__ that uses others of it."
    return helper(args), Plain, {"ada", "bob", "cyd"}

def helper(x):
    return x in {"ada", "bob", "cyd", "dot"} or local and words

def closing(amount):
    names = frozenset(words)
    return lambda x: x + amount if x not in names else [y for y in x if y in {"p", "q", "r"}]

class Plain:
    names = {"ada", "bob", "cyd"}

    def __init__(self, value):
        self.value = value
        self.seen = set(words)

    def again(self):
        return Plain(self.value)

class Tokenized:
    def __init__(self, value):
        self.value, self.noise = value, object()

    def __dask_tokenize__(self):
        return "Tokenized", self.value

@dataclasses.dataclass
class Data:
    name: str
    tags: set

class Colour(enum.Enum):
    RED = 1

def pure(func, *args, **kwargs):
    return op(func, pure=True)(*args, **kwargs)

base = pure(functions.plain, 1)
array = np.arange(6.0).reshape(2, 3)
nodes = {
    "builtin": pure(max, 1, 2),
    "module function": pure(functions.plain, 1, "a", None, 2.5, b"x", True, 1j, ...),
    "decorated": functions.decorated(1, k="v"),
    "decorated with options": functions.decorated.options(retries=2, label="x")(1, k="v"),
    "method": functions.Cls().method(3),
    "main function": pure(local, 1),
    "lambda": pure(lambda x: x + 1, 1),
    "lambda with a set": pure(lambda x: x in {"ada", "bob", "cyd", "dot"}, 1),
    "closure": pure(closing(3), 1),
    "partial": pure(functools.partial(local, 1, k={"ada", "bob"}), 1),
    "itemgetter": pure(operator.itemgetter("a", "b"), {}),
    "ufunc": pure(np.add, 1, 2),
    "class": pure(Plain, 1),
    "array": pure(local, array),
    "array slice": pure(local, array[:, ::2]),
    "object array": pure(local, np.array(["a", "b"], dtype=object)),
    "set": pure(local, set(words)),
    "frozenset": pure(local, frozenset(words)),
    "nested sets": pure(local, [{frozenset(words): {"k": set(words)}}, (set(words),)]),
    "mixed set": pure(local, {1, "a", None, (2, "b"), 2.5}),
    "dict": pure(local, {"b": 1, "a": [2, {"c"}]}),
    "keywords": pure(local, b=1, a=2),
    "tokenized": pure(local, Tokenized(3)),
    "tokenized inside": pure(local, [{"k": (Tokenized(3),)}]),
    "object": pure(local, Plain(3)),
    "object inside": pure(local, [Plain(3), {"k": Plain(4)}]),
    "dataclass": pure(local, Data("x", {"ada", "bob", "cyd"})),
    "enum": pure(local, Colour.RED),
    "node": pure(local, base),
    "nodes inside": pure(local, [base, {"k": (base, {base})}], k={base: 1}),
    "slice": pure(local, slice(1, base)),
    "numpy scalar": pure(local, np.float32(1), np.dtype("i4")),
}
for name, node in nodes.items():
    print(name, node.key, sep="\\t")
"""


def interpreter(folder, code, seed, *, with_bytecode):
    """Run code in a fresh interpreter and return what it printed."""
    env = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(folder)}
    env["PYTHONPYCACHEPREFIX"] = str(folder / "cache")
    flags = [] if with_bytecode else ["-B"]
    run = subprocess.run(
        [sys.executable, *flags, "-W", "error", code], env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def fresh_keys(tmp_path_factory):
    """The keys of the script's nodes in several interpreters: one mapping each."""
    folder = tmp_path_factory.mktemp("fresh")
    (folder / "functions.py").write_text(MODULE)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    outputs = [
        # The first has no byte code of the module, the second writes it, the third reads it.
        interpreter(folder, str(script), seed, with_bytecode=seed != 1)
        for seed in (1, 2, 3)
    ]
    return [dict(line.split("\t") for line in output.splitlines()) for output in outputs]


NAMES = [line.split('"')[1] for line in SCRIPT.splitlines() if line.startswith('    "')][1:]


@pytest.mark.parametrize("name", NAMES)
def test_pure_keys_are_equal_in_fresh_interpreters(fresh_keys, name):
    assert len({keys[name] for keys in fresh_keys}) == 1


def test_different_pure_calls_have_different_keys(fresh_keys):
    first = dict(fresh_keys[0])
    assert set(first) == set(NAMES)
    assert first.pop("decorated with options") == first["decorated"]
    del first["tokenized inside"]
    assert len(set(first.values())) == len(first)


def pure(func, *args, **kwargs):
    return op(func, pure=True)(*args, **kwargs)


def many(*args, **kwargs): ...


DIFFERENT = [
    (((1,), {}), ((2,), {})),
    (((1,), {}), ((1.0,), {})),
    (((1,), {}), ((True,), {})),
    (((1,), {}), (("1",), {})),
    ((("a",), {}), ((b"a",), {})),
    (((1, 2), {}), ((2, 1), {})),
    (((1, 2), {}), (((1, 2),), {})),
    (((1,), {"k": 2}), ((1, 2), {})),
    (((), {"a": 1}), ((), {"b": 1})),
    (((), {"a": 1, "b": 2}), ((), {"a": 2, "b": 1})),
    ((([1],), {}), (((1,),), {})),
    ((({1, 2},), {}), ((frozenset({1, 2}),), {})),
    ((({1, 2},), {}), (([1, 2],), {})),
    ((({"a": 1},), {}), (({"a": "1"},), {})),
    ((({"a": 1},), {}), (([("a", 1)],), {})),
    (((None,), {}), (((),), {})),
    (((), {}), (((),), {})),
    (((np.arange(3),), {}), ((np.arange(3.0),), {})),
    (((np.arange(4),), {}), ((np.arange(4).reshape(2, 2),), {})),
    (((0.0,), {}), ((-0.0,), {})),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_pure_calls_with_different_arguments_differ(one, other):
    assert pure(many, *one[0], **one[1]).key != pure(many, *other[0], **other[1]).key


EQUAL = [
    (((), {"a": 1, "b": 2}), ((), {"b": 2, "a": 1})),
    ((({"x": 1, "y": 2},), {}), (({"y": 2, "x": 1},), {})),
    ((({"x", "y", "z"},), {}), (({"z", "y", "x"},), {})),
    (((["ab", "ab"],), {}), ((["ab", "".join(["a", "b"])],), {})),
    (((np.arange(6)[::2],), {}), ((np.array([0, 2, 4]),), {})),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_pure_calls_with_equal_arguments_are_equal(one, other):
    assert pure(many, *one[0], **one[1]).key == pure(many, *other[0], **other[1]).key


def test_pure_functions_that_differ_have_different_keys():
    def closure(n):
        return lambda x: x + n

    keys = {
        pure(func, 1).key
        for func in (
            lambda x: x,
            lambda x: x + 1,
            lambda x: x + 2,
            lambda x, y=1: x,
            lambda x, y=2: x,
            lambda x, *, y=2: x,
            closure(1),
            closure(2),
            lambda x: [y for y in x],  # noqa: C416
            lambda x: [y for y in x if y],
            abs,
            bool,
        )
    }
    assert len(keys) == 12


def test_equal_pure_calls_of_the_same_lambda_are_equal():
    func = lambda x: x  # noqa: E731
    assert pure(func, 1).key == pure(func, 1).key


def test_pure_calls_of_nodes_hash_their_keys():
    def build(text):
        return pure(many, [pure(many, text), {"k": pure(many, text)}])

    assert build("1").key == build("1").key != build("2").key
    impure = op(int)("1")
    assert pure(many, impure).key == pure(many, impure).key != pure(many, op(int)("1")).key
    assert pure(many, [impure]).key == pure(many, [impure]).key != pure(many, (impure,)).key


def test_impure_calls_have_keys_of_their_own():
    keys = {op(many)(1).key for _ in range(100)}
    assert len(keys) == 100


def test_keys_name_the_function_and_are_plain_text():
    assert op(int)("1").key.startswith("int-")
    assert pure(int, "1").key.startswith("int-")
    node = op(int, label="<b>\x00\u202e../" * 1000)("1")
    assert node.key.isascii()
    assert node.key.isprintable()
    assert len(node.key) < 100
    assert not set(node.key) & set("<>/.\\")


def test_a_key_is_the_same_for_all_threads():
    def keys_of(node):
        barrier = threading.Barrier(4)

        def ask(_):
            barrier.wait()
            return node.key

        return set(pool.map(ask, range(4)))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            assert len(keys_of(op(int)("1"))) == 1


def test_a_deep_chain_of_pure_calls_has_a_key():
    node = pure(abs, 0)
    for _ in range(2_000):
        node = pure(abs, [node])
    twin = pure(abs, 0)
    for _ in range(2_000):
        twin = pure(abs, [twin])
    assert node.key == twin.key


@pytest.mark.parametrize(
    ("argument", "what"),
    [
        (threading.Lock(), "lock"),
        (object(), "object"),
        ([{"k": threading.Lock()}], "list"),
        ((x for x in ()), "generator"),
    ],
)
def test_what_cannot_be_hashed_is_named(argument, what):
    with pytest.raises(TypeError, match=rf"argument 0, an? .*{what}.*__dask_tokenize__"):
        pure(many, argument).key  # noqa: B018
    with pytest.raises(TypeError, match=rf"argument 'k', an? .*{what}.*__dask_tokenize__"):
        pure(many, k=argument).key  # noqa: B018


def test_a_function_that_cannot_be_hashed_is_named():
    lock = threading.Lock()

    def guarded():
        return lock

    with pytest.raises(TypeError, match="'guarded'.*its function"):
        pure(guarded).key  # noqa: B018


def test_what_is_too_deep_to_hash_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="argument 0, a list"):
        pure(many, deep).key  # noqa: B018


def test_impure_nodes_are_never_hashed():
    assert op(many)(Hostile(), [Hostile()], k=threading.Lock()).key


# Pickling


@pytest.fixture(params=[pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def dumps(request):
    return request.param.dumps


def there_and_back(dumps, value):
    return pickle.loads(dumps(value))


def ancestry(node):
    """Return a node and all it needs, each with those it needs, as keys."""
    found, seen = [node], {}
    for current in found:
        if current.key not in seen:
            seen[current.key] = [d.key for d in current.dependencies]
            found.extend(current.dependencies)
    return seen


def diamond():
    a = op(int, label="a")("1")
    b, c = a + 1, op(list)([a, {"k": (a,)}])
    b.label = "b"
    return CollectNode([b, c[0], DataNode("x"), op(int, after=[c])("4")])


def test_pickling_keeps_keys_labels_and_shape(dumps):
    node = diamond()
    back = there_and_back(dumps, node)
    assert type(back) is CollectNode
    assert ancestry(back) == ancestry(node)
    b, item, data, last = back.nodes
    assert (b.label, b.dependencies[0].label, last.label) == ("b", "a", "int")
    assert b.dependencies[0] is item.node.dependencies[0]
    assert last.dependencies == (item.node,)
    assert (item.index, data.value) == (0, "x")
    assert back.nodes[0].evaluate({b.dependencies[0]: 1}.__getitem__) == 2


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a, b: [a, b],
        lambda a, b: (b, a),
        lambda a, b: {"a": a, "b": [b, a]},
        lambda a, b: {a: b},
        lambda a, b: DispatchGraph([a, b]),
        lambda a, b: CollectNode([a, b]),
    ],
)
def test_shared_ancestors_stay_shared_in_one_pickle(dumps, wrap):
    shared = op(int)("1")
    back = there_and_back(dumps, wrap(shared + 1, shared * 2))
    seen = []

    def look(value):
        if isinstance(value, (DispatchGraph, CollectNode)):
            look([*(value.outputs if isinstance(value, DispatchGraph) else value.nodes)])
        elif isinstance(value, dict):
            look([*value.keys(), *value.values()])
        elif isinstance(value, (list, tuple)):
            for part in value:
                look(part)
        elif isinstance(value, Op):
            seen.append(value)

    look(back)
    assert len({id(node) for node in seen}) == 2
    assert len({id(node.dependencies[0]) for node in seen}) == 1
    assert seen[0].dependencies[0].key == shared.key


def test_the_same_node_twice_is_the_same_node_twice(dumps):
    node = op(int)("1")
    first, second = there_and_back(dumps, [node, node])
    assert first is second


def test_two_pickles_of_one_node_have_one_key(dumps):
    node = op(int)("1")
    assert there_and_back(dumps, node).key == there_and_back(dumps, node).key == node.key


def test_a_node_inside_other_objects_is_shared_too(dumps):
    node = op(int)("1") + 1
    back = there_and_back(dumps, [node, DataNode({"hidden": node}), -node])
    assert back[1].value["hidden"] is back[0]
    assert back[2].dependencies == (back[0],)


def test_lambdas_need_cloudpickle_only():
    node = op(lambda x: x + 1)(2)
    back = there_and_back(cloudpickle.dumps, node)
    assert back.evaluate(None) == 3
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(node)
    assert there_and_back(pickle.dumps, op(abs)(-1)).evaluate(None) == 1


def test_pure_nodes_that_cannot_be_hashed_are_refused_when_pickled(dumps):
    with pytest.raises(TypeError, match="is pure, but its argument 0"):
        dumps(pure(many, object()))


DEPTH = 100_000


@pytest.fixture(scope="module")
def chain():
    """A hundred thousand nodes, each on the one before; inside containers now and then."""
    node = op(int)("0")
    build = [lambda n: Op(abs, n), lambda n: Op(list, [[n]]), lambda n: n[0], lambda n: -n]
    return [node, *(node := build[n % 4](node) for n in range(DEPTH - 1))]


@pytest.mark.parametrize(
    ("wrap", "last_of"),
    [
        (lambda nodes: nodes[-1], lambda value: value),
        (lambda nodes: nodes, lambda value: value[-1]),
        (lambda nodes: nodes[::-1], lambda value: value[0]),
        (lambda nodes: DispatchGraph([nodes[-1]]), lambda value: value.outputs[0]),
    ],
    ids=["last", "list", "reversed", "graph"],
)
def test_a_chain_of_a_hundred_thousand_pickles(chain, wrap, last_of):
    check_chain(chain, last_of(there_and_back(pickle.dumps, wrap(chain))))


def test_a_chain_of_a_hundred_thousand_pickles_with_cloudpickle(chain):
    check_chain(chain, there_and_back(cloudpickle.dumps, chain)[-1])


def check_chain(chain, back):
    for node in reversed(chain):
        assert back.key == node.key
        back = next(iter(back.dependencies), None)
    assert back is None


def test_picklers_at_work_side_by_side_do_not_disturb_each_other():
    node = op(int)("0")
    nodes = [node := -node for _ in range(5_000)]
    first, second = io.BytesIO(), io.BytesIO()
    one, two = pickle.Pickler(first), cloudpickle.Pickler(second)
    for n in (4_999, 10, 4_998, 2_000, 0):
        one.dump(nodes[n])
        two.dump(nodes[n])
        assert pickle.loads(pickle.dumps(nodes[n])).key == nodes[n].key
        one.dump([-nodes[n], nodes[n]])
    for file in (first, second):
        file.seek(0)
        unpickler = pickle.Unpickler(file)
        back = unpickler.load()
        assert back.key == nodes[-1].key
    a = pickle.Unpickler(first)
    first.seek(0)
    last, (_, again) = a.load(), a.load()
    assert last is again


def test_a_pickler_can_forget_what_it_was_given():
    node = op(int)("0")
    for _ in range(5_000):
        node = -node
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.dump(node)
    pickler.clear_memo()
    middle = file.tell()
    pickler.dump(node)
    assert pickle.loads(file.getvalue()[middle:]).key == node.key


class PicklesInside:
    """Pickles a node by itself while it is being pickled, as boxes of arguments do."""

    def __init__(self, node):
        self.node = node

    def __reduce__(self):
        return pickle.loads, (pickle.dumps(self.node),)


def test_pickling_within_pickling_keeps_deep_nodes():
    def deep():
        node = op(int)("0")
        for _ in range(5_000):
            node = -node
        return node

    first, second = deep(), deep()
    back = pickle.loads(
        pickle.dumps([first, PicklesInside(first), PicklesInside(second), second, -second])
    )
    assert [node.key for node in back[:4]] == [n.key for n in (first, first, second, second)]
    assert back[4].dependencies == (back[3],)


def test_threads_pickle_at_once():
    node = op(int)("0")
    for _ in range(3_000):
        node = -node
    with ThreadPoolExecutor(4) as pool:
        backs = list(pool.map(lambda _: pickle.loads(pickle.dumps([node, -node])), range(8)))
    assert all(back[1].dependencies == (back[0],) for back in backs)
    assert {back[0].key for back in backs} == {node.key}


def test_nodes_are_let_go_after_pickling():
    import gc
    import weakref

    node = op(int)("1")
    ref = weakref.ref(node)
    pickle.dumps([node, -node])
    cloudpickle.dumps(-node)
    del node
    gc.collect()
    assert ref() is None


def test_nodes_pickled_in_another_interpreter_are_the_same_nodes(tmp_path):
    code = textwrap.dedent(
        """
        import pickle, sys
        data = sys.stdin.buffer.read()
        graph = pickle.loads(data)
        sys.stdout.buffer.write(pickle.dumps(graph))
        """
    )
    (tmp_path / "relay.py").write_text(code)
    graph = DispatchGraph([diamond()])
    run = subprocess.run(
        [sys.executable, str(tmp_path / "relay.py")],
        input=pickle.dumps(graph),
        capture_output=True,
        check=True,
    )
    back = pickle.loads(run.stdout)
    assert [node.key for node in back] == [node.key for node in graph]
    assert ancestry(back.outputs[0]) == ancestry(graph.outputs[0])
