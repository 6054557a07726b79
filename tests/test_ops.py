"""`Op` and `op`: building nodes of calls, in all the ways Python writes functions."""

import functools
import gc
import weakref
from typing import Any

import pytest

from dask_dispatcher import DataNode, Op, OpFactory, op
from dask_dispatcher.options import Options
from dask_dispatcher.plan import compile_plan
from tests.support.hostile import Hostile


def double(x):
    return x * 2


def run(node):
    """Compute a node and all it needs."""
    values = {}
    for current in [*_ancestors(node), node]:
        values[current] = current.evaluate(values.__getitem__)
    return values[node]


def _ancestors(node):
    for dependency in node.dependencies:
        yield from _ancestors(dependency)
        yield dependency


def test_an_op_is_a_call_not_yet_made():
    calls = []
    node = Op(lambda *args, **kwargs: calls.append((args, kwargs)), 1, [2], k=3)
    assert not calls
    assert (node.args, node.kwargs) == ((1, [2]), {"k": 3})
    run(node)
    run(node)
    assert calls == [((1, [2]), {"k": 3})] * 2


def test_op_and_Op_build_the_same():  # noqa: N802
    for node in (op(double)(4), Op(double, 4), Op(op(double), 4)):
        assert type(node) is Op
        assert (node.func, node.args, node.kwargs, node.label) == (double, (4,), {}, "double")
        assert run(node) == 8


def test_arguments_may_have_any_name():
    node = Op(dict, self=1, func=2, cls=3, args=4, kwargs=5, label=6, node=7)
    assert run(node) == node.kwargs
    assert run(op(dict)(self=1, func=2)) == {"self": 1, "func": 2}


def test_nodes_are_arguments_in_any_place():
    node = op(lambda a, *rest, k, **more: (a, rest, k, more))
    one, two = op(int)("1"), op(int)("2")
    assert run(node(one, [two], {one: 3}, k=(one,), z=two)) == (1, ([2], {1: 3}), (1,), {"z": 2})


def test_plain_arguments_are_passed_as_they_are():
    hostile, big = Hostile(), [1, 2]
    node = Op(lambda *args, **kwargs: (args, kwargs), hostile, big, k=hostile)
    (first, second), kwargs = run(node)
    assert first is hostile
    assert second is big
    assert kwargs["k"] is hostile
    assert node.args[0] is hostile
    assert node.dependencies == ()
    assert repr(node)


def test_factories_of_Op_are_shared_and_not_kept():  # noqa: N802
    def local(x):
        return x

    first, second = Op(local, 1), Op(local, 2)
    assert first._callee is second._callee
    ref = weakref.ref(local)
    del local, first, second
    gc.collect()
    assert ref() is None


# The decorator


def test_op_decorates_with_and_without_options():
    @op
    def plain(x):
        return x

    @op()
    def empty(x):
        return x

    @op(retries=3, label="mine")
    def with_options(x):
        return x

    assert [type(f) for f in (plain, empty, with_options)] == [OpFactory] * 3
    assert run(plain(1)) == run(empty(1)) == run(with_options(1)) == 1
    assert (with_options(1).label, with_options(1).options.retries) == ("mine", 3)
    assert plain(1).options == Options()


def test_func_is_the_plain_function():
    factory = op(double)
    assert factory.func is double
    assert factory(3).func is double
    assert factory.options(retries=1).func is double
    assert op(factory.options(retries=1)).func is double


def test_options_gives_a_changed_copy():
    first = op(double, retries=1, label="a")
    second = first.options(timeout=5, label="b")
    assert first.settings == Options(retries=1, label="a")
    assert second.settings == Options(retries=1, label="b", timeout=5)
    assert second(1).options is second.settings
    assert second.options(retries=None).settings == Options(label="b", timeout=5)
    assert first.options().settings == first.settings


def test_op_of_an_op_changes_options_too():
    first = op(double, retries=1)
    assert op(first) is first
    assert op(first, timeout=5).settings == Options(retries=1, timeout=5)
    assert op(timeout=5)(first).settings == Options(retries=1, timeout=5)
    assert op(op(double, pure=True), pure=False).settings == Options()


def test_an_iterator_of_nodes_is_read_once():
    node = op(int)("1")
    decorate = op(after=iter([node]))
    assert decorate(double)(1).dependencies == (node,)
    assert decorate(double)(1).dependencies == (node,)
    assert op(op(double), after=iter([node]))(1).dependencies == (node,)


def test_decorated_functions_call_each_other_through_func():
    @op
    def factorial(n):
        return n * factorial.func(n - 1) if n else 1

    assert run(factorial(5)) == 120


def test_a_factory_has_a_short_repr():
    assert repr(op(double)) == "<op double>"
    assert repr(op(functools.partial(double, 1))) == "<op double>"


# In classes


class Model:
    def __init__(self, factor):
        self.factor = factor

    @op
    def scale(self, x):
        return self.factor * x

    @op(retries=2)
    async def wait(self, x):
        return x

    @staticmethod
    @op
    def static(x):
        return x + 1

    @classmethod
    @op
    def of_class(cls, x):
        return cls.__name__, x

    shared = op(double)


class Child(Model):
    pass


def test_a_decorated_method_binds_like_a_function():
    model = Model(3)
    node = model.scale(4)
    assert node.args == (model, 4)
    assert run(node) == 12
    assert run(Model.scale(model, 5)) == 15
    assert run(Child(2).scale(5)) == 10
    assert run(model.scale(x=op(int)("2"))) == 6


def test_a_bound_op_has_what_a_factory_has():
    model = Model(3)
    assert model.scale.func(2) == 6
    assert model.scale.options(retries=5)(2).options.retries == 5
    assert run(model.scale.options(label="s")(2)) == 6
    assert "scale" in repr(model.scale)
    assert Model.scale.func(model, 1) == 3


def test_a_bound_op_is_an_op_already():
    model = Model(3)
    for node in (op(model.scale)(4), Op(model.scale, 4), op(model.scale, retries=2)(4)):
        assert node.args == (model, 4)
        assert run(node) == 12
    assert node.options.retries == 2


def test_bound_arity_counts_self():
    model = Model(1)
    for bad in (lambda: model.scale(), lambda: model.scale(1, 2), lambda: Model.scale(1)):
        with pytest.raises(TypeError, match="scale"):
            bad()


def test_an_async_method_is_a_coroutine_node():
    assert Model(1).wait(2)._callee.is_coroutine


def test_static_and_class_methods_go_above_the_op():
    assert run(Model.static(1)) == run(Model(1).static(1)) == 2
    assert run(Model.of_class(1)) == run(Model(1).of_class(1)) == ("Model", 1)
    assert run(Child.of_class(1)) == ("Child", 1)


@pytest.mark.parametrize("outer", [staticmethod, classmethod])
def test_static_and_class_methods_below_the_op_are_refused(outer):
    with pytest.raises(TypeError, match=f"put @op below @{outer.__name__}"):
        op(outer(double))
    with pytest.raises(TypeError, match=f"put @op below @{outer.__name__}"):
        op(retries=1)(outer(double))


def test_a_node_whose_instance_holds_nodes_is_like_any_plain_argument():
    model = Model(op(int)("3"))
    assert model.scale(4).dependencies == ()


# Many


def test_a_hundred_thousand_nodes_deep_and_wide_are_built():
    node = op(int)("0")
    for _ in range(100_000):
        node = Op(abs, node)
    wide = op(len)([Op(abs, n) for n in range(100_000)])
    assert len(wide.dependencies) == 100_000
    del node, wide  # ends without recursion, too


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1,), {}),
        (("a",), {}),
        (("a", 2), {}),
        (("a", "b"), {"c": "a"}),
        ((["a", {"k": "b"}],), {}),
    ],
)
def test_a_call_takes_values_by_number(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """It does as `evaluate`."""
    given = {"a": DataNode("x"), "b": DataNode("y")}

    def build(value: Any) -> Any:
        if isinstance(value, list):
            return [build(one) for one in value]
        if isinstance(value, dict):
            return {name: build(one) for name, one in value.items()}
        return given.get(value, value)

    def all_of(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    node = op(all_of)(*map(build, args), **{name: build(value) for name, value in kwargs.items()})
    plan = compile_plan([node])
    values = [f"of {number}" for number in range(len(plan.nodes))]

    def look_up(one: Any) -> str:
        return values[plan.index[one]]

    assert node.call(values, plan.needs[0], look_up) == node.evaluate(look_up)
