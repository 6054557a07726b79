"""What a node calls: its arity, its name, its length, and how it travels."""

import functools
import importlib
import operator
import pickle
import sys
import typing
from typing import Any

import cloudpickle
import numpy as np
import pytest

from dask_dispatcher import Op, op
from dask_dispatcher.callee import Callee
from dask_dispatcher.options import Options
from tests.support.hostile import Hostile

NODE = op(int)("1")


def two(a, b): ...
def keywords(a, *, b, c=1): ...
def many(*args, **kwargs): ...
def positional(a, /, b): ...


class Methods:
    def method(self, a): ...

    def __call__(self, a, b): ...


FITTING = [
    (two, (1, 2), {}),
    (two, (1,), {"b": 2}),
    (keywords, (1,), {"b": 2}),
    (many, (1, 2, 3), {"x": 1, "self": 2, "func": 3, "args": 4}),
    (positional, (1,), {"b": 1}),
    (lambda x=1: x, (), {}),
    (functools.partial(two, 1), (2,), {}),
    (functools.partial(two, b=1), (2,), {}),
    (Methods().method, (1,), {}),
    (Methods(), (1, 2), {}),
    (Methods, (), {}),
    (len, ([1],), {}),
    (max, (1, 2, 3), {}),  # no signature: every shape is taken
    (int, ("1",), {}),
    (dict, ((),), {"self": 1}),
    (operator.add, (1, 2), {}),
    (operator.itemgetter(1), ([1, 2],), {}),
    (np.add, (1, 2), {}),
    (str.upper, ("a",), {}),
    ("".join, (["a"],), {}),
]

NOT_FITTING = [
    (two, (), {}),
    (two, (1,), {}),
    (two, (1, 2, 3), {}),
    (two, (1, 2), {"c": 3}),
    (two, (1, 2), {"a": 3}),
    (keywords, (1, 2), {}),
    (positional, (), {"a": 1, "b": 2}),
    (lambda: 0, (1,), {}),
    (functools.partial(two, 1), (2, 3), {}),
    (Methods().method, (), {}),
    (Methods(), (1,), {}),
    (Methods, (1,), {}),
    (len, (), {}),
    (len, ([], []), {}),
    (operator.add, (1,), {}),
]


@pytest.mark.parametrize(("func", "args", "kwargs"), FITTING)
def test_arguments_that_fit_are_taken(func, args, kwargs):
    factory = op(func)
    for _ in range(2):
        assert factory(*args, **kwargs).kwargs == kwargs
        assert Op(func, *args, **kwargs).args == args


@pytest.mark.parametrize(("func", "args", "kwargs"), NOT_FITTING)
def test_arguments_that_do_not_fit_are_refused_when_the_node_is_built(func, args, kwargs):
    factory = op(func)
    for _ in range(2):
        with pytest.raises(TypeError, match="argument|parameter"):
            factory(*args, **kwargs)
        with pytest.raises(TypeError, match="argument|parameter"):
            Op(func, *args, **kwargs)


def test_one_shape_that_fits_says_nothing_of_another():
    factory = op(two)
    factory(1, 2)
    factory(1, b=2)
    with pytest.raises(TypeError):
        factory(1, c=2)
    with pytest.raises(TypeError):
        factory(1)


def test_the_refusal_names_the_function_and_its_parameters():
    with pytest.raises(
        TypeError, match=r"^two\(a, b\): missing a required argument: 'b'$"
    ) as error:
        op(two)(1)
    assert error.value.__suppress_context__


@pytest.mark.parametrize("thing", [3, None, "text", [len], NODE, object()])
def test_what_cannot_be_called_is_refused(thing):
    for build in (op, Op):
        with pytest.raises(TypeError, match="something to call"):
            build(thing)


def test_functions_whose_hash_or_equality_raises_are_called_like_others():
    class Unhashable:
        __hash__ = None

        def __call__(self, a):
            return a

    class Raising:
        def __hash__(self):
            raise RuntimeError("hashed")

        def __eq__(self, other):
            raise RuntimeError("compared")

        def __call__(self, a):
            return a

    for func in (Unhashable(), Raising()):
        for build in (op(func), lambda *args, func=func: Op(func, *args)):
            assert build(1).evaluate(None) == 1
    with pytest.raises(TypeError, match="missing a required argument"):
        op(Unhashable())()


def test_functions_that_have_every_attribute_are_called_like_others():
    class Anything:
        def __getattr__(self, name):
            return self

        def __call__(self, *args):
            return 5

    node = op(Anything())(1)
    assert node.label == "Anything"
    assert node.evaluate(None) == 5
    assert node.key
    assert cloudpickle.loads(cloudpickle.dumps(node)).key == node.key


# Names


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (two, "two"),
        (len, "len"),
        (int, "int"),
        (lambda: 0, "<lambda>"),
        (functools.partial(functools.partial(two, 1), 2), "two"),
        (Methods().method, "method"),
        (Methods(), "Methods"),
        (operator.itemgetter(0), "itemgetter"),
        (np.add, "add"),
    ],
)
def test_the_default_label_is_the_functions_name(func, name):
    assert op(func).label == name
    assert Callee(func, Options(label="mine")).label == "mine"


def test_a_factory_looks_like_its_function():
    @op
    def documented(a: int) -> str:
        """Explain."""

    assert documented.__name__ == "documented"
    assert documented.__qualname__.endswith("<locals>.documented")
    assert documented.__doc__ == "Explain."
    assert documented.__module__ == __name__
    assert documented.__wrapped__ is documented.func


# Lengths


def pair() -> tuple[int, str]: ...
async def async_pair() -> tuple[int, str]: ...
def old_triple() -> typing.Tuple[int, int, int]: ...  # noqa: UP006 - users still write it
def empty() -> tuple[()]: ...
def text_pair() -> "tuple[int, Any]": ...
def many_ints() -> tuple[int, ...]: ...
def bare() -> tuple: ...
def a_list() -> list[int]: ...
def unknown() -> "tuple[Missing, int]": ...  # noqa: F821


@pytest.mark.parametrize(
    ("func", "length"),
    [
        (pair, 2),
        (async_pair, 2),
        (old_triple, 3),
        (empty, 0),
        (text_pair, 2),
        (many_ints, None),
        (bare, None),
        (a_list, None),
        (unknown, None),
        (lambda: 0, None),
        (len, None),
        (np.add, None),
        (functools.partial(pair), 2),
    ],
)
def test_the_length_is_that_of_the_annotation(func, length):
    assert op(func).length() == length
    assert op(func, nout=5).length() == 5


def test_nout_of_zero_counts():
    assert op(pair, nout=0).length() == 0


# Coroutine functions


def test_coroutine_functions_are_known():
    async def plain(): ...

    class Callable_:
        async def __call__(self): ...

        async def method(self): ...

    for func in (plain, Callable_(), Callable_().method, functools.partial(plain)):
        assert op(func).is_coroutine
    for func in (two, len, Methods(), functools.partial(two)):
        assert not op(func).is_coroutine


# Nodes where the graph cannot see them


def in_closure():
    node = NODE
    return lambda: node


def in_list_in_closure():
    nodes = {"all": [NODE]}
    return lambda: nodes


def in_closure_of_closure():
    inner = in_closure()
    return lambda: inner()


def wrapped():
    inner = in_closure()

    @functools.wraps(inner)
    def wrapper():
        return inner()

    return wrapper


def as_default():
    return lambda node=NODE: node


def as_keyword_default():
    def func(*, node=NODE): ...

    return func


class Holder:
    def __init__(self, node):
        self.node = node

    def get(self): ...


CAPTURED = [
    in_closure,
    in_list_in_closure,
    in_closure_of_closure,
    wrapped,
    as_default,
    as_keyword_default,
    lambda: functools.partial(two, NODE),
    lambda: functools.partial(two, b=NODE),
    lambda: functools.partial(two, [NODE]),
    lambda: functools.partial(in_closure()),
    lambda: NODE.unpack,
    lambda: [NODE].index,
]


@pytest.mark.parametrize("make", CAPTURED)
def test_captured_nodes_are_refused(make):
    func = make()
    for build in (op, Op):
        with pytest.raises(TypeError, match="pass the node as an argument"):
            build(func)


def test_the_refusal_names_function_and_node():
    hidden = op(int, label="secret")("1")

    def reads():
        return hidden

    with pytest.raises(TypeError, match=r"^reads has a node \(<Op 'secret'>\) in its closure"):
        op(reads)


def test_closures_without_nodes_are_fine_even_hostile_or_recursive_or_empty_ones():
    hostile, loop = Hostile(), []
    loop.append(loop)

    def recursive(n):
        return (hostile, loop, later) if n else recursive(1)

    node = op(recursive)(0)
    later = 3
    assert node.evaluate(None) == (hostile, loop, later) or True
    assert node.evaluate(None)[2] == 3


# How it travels


MODULE = """
from dask_dispatcher import op

@op(retries=2)
def decorated(x):
    return x + 1

@op
async def waits(x):
    return x

def plain(x):
    return x * 2

doubled = op(plain)
renamed = decorated

class Cls:
    @op
    def method(self, x):
        return x

    @staticmethod
    @op
    def static(x):
        return x * 3

    @classmethod
    @op
    def of_class(cls, x):
        return cls.__name__, x
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module on disk that another interpreter could import too."""
    (tmp_path / "travelling.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("travelling")
    del sys.modules["travelling"]


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize("path", ["decorated", "waits", "Cls.method", "Cls.static"])
def test_a_decorated_function_of_a_module_travels_by_reference(module, dumps, path):
    factory = operator.attrgetter(path)(module)
    data = dumps(factory)
    assert pickle.loads(data) is factory
    assert len(data) < 100
    args = (1, 2) if path == "Cls.method" else (1,)
    assert pickle.loads(dumps(factory(*args)))._callee is factory


def test_a_function_travels_by_reference_inside_its_factory(module):
    back = pickle.loads(pickle.dumps(module.doubled(3)))
    assert back.func is module.plain
    assert back.evaluate(None) == 6


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_changed_options_travel_with_a_reference(module, dumps):
    factory = module.decorated.options(timeout=5, after=NODE)
    data = dumps(factory)
    assert b"co_code" not in data
    back = pickle.loads(data)
    assert back.func is module.decorated.func
    assert (back.settings.retries, back.settings.timeout) == (2, 5)
    assert [node.key for node in back.settings.after] == [NODE.key]


def test_a_class_method_travels(module):
    node = module.Cls.of_class(4)
    back = cloudpickle.loads(cloudpickle.dumps(node))
    assert back.evaluate(None) == ("Cls", 4)


def test_a_module_registered_by_value_travels_by_value(module):
    node = module.decorated(1)
    cloudpickle.register_pickle_by_value(module)
    try:
        data = cloudpickle.dumps(node)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert cloudpickle.loads(data)._callee is not module.decorated
    assert cloudpickle.loads(data).evaluate(None) == 2


def test_a_name_that_means_something_else_by_now_is_no_reference(module):
    factory = module.decorated
    module.decorated = None
    back = cloudpickle.loads(cloudpickle.dumps(factory))
    assert back(1).evaluate(None) == 2
    assert back.settings.retries == 2


def test_closures_and_lambdas_travel_by_value_with_their_options():
    amount = 5
    node = op(lambda x: x + amount, retries=1, label="plus")(1)
    back = cloudpickle.loads(cloudpickle.dumps(node))
    assert (back.label, back.options.retries, back.evaluate(None)) == ("plus", 1, 6)
