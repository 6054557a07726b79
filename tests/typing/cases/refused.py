"""What a type checker has to refuse: each such line ends in the code of its error."""

from dask_dispatcher import DataNode, DeferredChannel, DeferredFuture, Err, Executor, NodeFuture, Ok, Op, Result, op


def f(x: int) -> float:
    return float(x)


def wrong_results() -> None:
    text: Op[str] = op(f)(1)  # E: assignment
    data: DataNode[str] = DataNode(1)  # E: arg-type
    del text, data


def wrong_options() -> None:
    op(f, retrys=1)  # E: call-overload
    op(f, retries="3")  # E: call-overload
    op(f, timeout="5")  # E: call-overload
    op(retry_on=3)  # E: call-overload
    op(3)  # E: call-overload


def wrong_uses(a: Op[int], executor: Executor) -> None:
    text: str = executor.compute(a)  # E: assignment
    executor.run([1, 2])  # E: list-item
    executor.run(a, wrong=1)  # E: call-arg
    a.key = "x"  # E: misc
    a.label = 3  # E: assignment
    a.shape  # E: attr-defined
    del text


def wrong_futures(future: NodeFuture[int]) -> None:
    text: str = future.fetch()  # E: assignment
    future.fetch(timeout="1")  # E: arg-type
    del text


async def wrong_deferred(future: DeferredFuture[int], channel: DeferredChannel[str]) -> None:
    future.put("1")  # E: arg-type
    channel.put(1)  # E: arg-type
    channel.get(timeout="1")  # E: arg-type
    text: str = await future  # E: assignment
    DeferredChannel(maxsize="1")  # E: arg-type
    del text


def forgets_a_case(result: Result[int]) -> int:  # E: return
    match result:
        case Ok(value):
            return value


def changes(ok: Ok[int], err: Err[ValueError]) -> None:
    ok.value = 2  # E: misc
    err.error = ValueError()  # E: misc
