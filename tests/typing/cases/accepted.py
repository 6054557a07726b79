"""What a type checker sees in right programs; `assert_type` fails it where that is not the type."""

from collections.abc import Iterable
from typing import Any

from typing_extensions import assert_never, assert_type

from dask_dispatcher import (
    AsyncExecutor,
    CollectNode,
    DataNode,
    DeferredChannel,
    DeferredFuture,
    DispatcherError,
    DispatchGraph,
    DispatchNode,
    Err,
    Executor,
    IndexNode,
    NodeFuture,
    Ok,
    Op,
    OpFactory,
    Result,
    Run,
    op,
)


def plain(x: int, y: str = "") -> float:
    return float(x)


async def waits(x: int) -> bytes:
    return bytes(x)


@op
def decorated(path: str) -> list[float]:
    return [float(path)]


@op(retries=3, retry_on=(ConnectionError,), timeout=5.0, label="score", pure=True, priority=1)
def with_options(data: list[float]) -> int:
    return len(data)


@op
async def async_decorated() -> str:
    return ""


@op(max_losses=0, resources={"GPU": 1}, workers=["a"], nout=2, retry_delay=0.5)
async def async_with_options() -> tuple[int, str]:
    return 1, ""


def retry_predicate(error: BaseException) -> bool:
    return isinstance(error, OSError)


def building() -> None:
    assert_type(op(plain), OpFactory[float])
    assert_type(op(plain)(1), Op[float])
    assert_type(op(plain)(op(int)("1"), y=op(str)(2)), Op[float])
    assert_type(op(waits)(1), Op[bytes])
    assert_type(op(plain, retries=1, retry_on=retry_predicate), OpFactory[float])
    assert_type(Op(plain, 1, y="x"), Op[float])
    assert_type(Op(waits, 1), Op[bytes])

    assert_type(decorated("a"), Op[list[float]])
    assert_type(with_options(decorated("a")), Op[int])
    assert_type(async_decorated(), Op[str])
    assert_type(async_with_options(), Op[tuple[int, str]])

    assert_type(with_options.options(timeout=1)([1.0]), Op[int])
    assert_type(decorated.options(after=[with_options([1.0])]), OpFactory[list[float]])
    assert_type(op(decorated, retries=2), OpFactory[list[float]])
    assert_type(op(retries=2)(decorated), OpFactory[list[float]])
    assert_type(Op(decorated, "a"), Op[list[float]])
    assert_type(decorated("a").label, str)
    assert_type(decorated("a").key, str)
    assert_type(decorated("a").dependencies, tuple[DispatchNode[Any], ...])
    decorated("a").label = "mine"


class Model:
    @op
    def scale(self, x: int) -> float:
        return float(x)

    @staticmethod
    @op
    def static(x: int) -> str:
        return str(x)

    @classmethod
    @op
    def of_class(cls, x: int) -> bytes:
        return bytes(x)


def methods(model: Model) -> None:
    assert_type(model.scale(1), Op[float])
    assert_type(Model.scale(model, 1), Op[float])
    assert_type(model.scale.options(retries=1)(1), Op[float])
    assert_type(Model.static(1), Op[str])


def other_nodes() -> None:
    assert_type(DataNode(1.5), DataNode[float])
    assert_type(DataNode([1]).value, list[int])
    assert_type(decorated("a")[0], DispatchNode[Any])
    assert_type(decorated("a").unpack(2), tuple[IndexNode, ...])
    nodes: list[DispatchNode[Any]] = [decorated("a"), DataNode(1), CollectNode([decorated("a")])]
    assert_type(CollectNode(nodes).nodes, tuple[DispatchNode[Any], ...])
    first, second = async_with_options()
    wide: DispatchNode[object] = decorated("a")
    del first, second, wide


def operators(a: Op[int], b: DispatchNode[float]) -> None:
    assert_type(a + 1, Op[Any])
    assert_type(1 - a, Op[Any])
    assert_type(a * b, Op[Any])
    assert_type(a / b, Op[Any])
    assert_type(a // 2, Op[Any])
    assert_type(a % 2, Op[Any])
    assert_type(divmod(a, 2), Op[Any])
    assert_type(2**a, Op[Any])
    assert_type(a @ b, Op[Any])
    assert_type(a << 1, Op[Any])
    assert_type(a & b, Op[Any])
    assert_type(~a, Op[Any])
    assert_type(-a, Op[Any])
    assert_type(abs(a), Op[Any])
    assert_type(a < b, Op[Any])
    assert_type(a >= 1, Op[Any])
    assert_type(a == b, bool)


def graphs(a: Op[int]) -> None:
    graph = DispatchGraph([a, a + 1], inputs=[a])
    assert_type(graph.nodes, tuple[DispatchNode[Any], ...])
    assert_type(graph.edges, tuple[tuple[DispatchNode[Any], DispatchNode[Any]], ...])
    assert_type(graph.subgraph([a]), DispatchGraph)
    assert_type(a in graph, bool)
    for node in graph:
        assert_type(node, DispatchNode[Any])


def running(executor: Executor, a: Op[int], b: Op[str]) -> None:
    assert_type(executor.compute(a), int)
    assert_type(executor.compute(b), str)
    assert_type(executor.compute(a + 1), Any)
    assert_type(executor.compute([a, b]), list[Any])
    results = executor.run([a, b], raise_errors=False)
    for result in results:
        assert_type(result.is_ok(), bool)
    executor.run(DispatchGraph([a]), inputs={a: 5, b: "x"}, progress=True)
    assert_type(executor.start([a]), Run)
    assert_type(executor.start([a]).done(), bool)


def futures(future: NodeFuture[int], executor: Executor) -> None:
    assert_type(future.fetch(), int)
    assert_type(future.fetch(timeout=1.5), int)
    assert_type(future.wait(1), bool)
    assert_type(future.node, DispatchNode[int])
    assert_type(executor.gather([future, future]), list[int])
    assert_type(op(plain)(future), Op[float])


async def awaiting(future: NodeFuture[int], executor: AsyncExecutor, a: Op[int]) -> None:
    assert_type(await future, int)
    async with executor as same:
        assert_type(same, AsyncExecutor)
        await same.start([a])


def matching(result: Result[NodeFuture[int]]) -> int:
    match result:
        case Ok(future):
            assert_type(future, NodeFuture[int])
            return future.fetch()
        case Err(error):
            assert_type(error, DispatcherError)
            assert_type(error.node, DispatchNode[Any] | None)
            return len(error.label)
        case _:
            assert_never(result)


def unwrapping(result: Result[int], ok: Ok[str], err: Err[ValueError]) -> int:
    assert_type(ok.unwrap(), str)
    assert_type(ok.value, str)
    assert_type(err.unwrap_err(), ValueError)
    assert_type(err.error, ValueError)
    return result.unwrap()


def unwrapping_an_err_never_returns(err: Err[ValueError]) -> int:
    err.unwrap()  # the checker would miss a return below, if this came back


class MyExecutor(Executor):
    def close(self) -> None:
        super().close()


def context(nodes: Iterable[Op[int]]) -> None:
    with MyExecutor(retries=1, timeout=None, resources={"GPU": 1}) as executor:
        assert_type(executor, MyExecutor)
        executor.run(nodes)


async def deferred(future: DeferredFuture[int], channel: DeferredChannel[str]) -> None:
    assert_type(future.put(1), None)
    assert_type(future.fetch(), int)
    assert_type(future.fetch(timeout=1.5), int)
    assert_type(future.wait(), bool)
    assert_type(future.ready(), bool)
    assert_type(await future, int)
    assert_type(channel.put("a", timeout=None), None)
    assert_type(channel.get(), str)
    assert_type(channel.fetch(timeout=1), str)
    assert_type(await channel.aget(), str)
    assert_type([item for item in channel], list[str])
    assert_type([item async for item in channel], list[str])
    made: DeferredChannel[list[int]] = DeferredChannel(maxsize=4)
    assert_type(made.maxsize, int)
