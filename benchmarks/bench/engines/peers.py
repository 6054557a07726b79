"""Peers made of nothing but the standard library."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from bench.engines.base import Engine
from bench.workloads import Build


def pack(*values: Any) -> list[Any]:
    """Make a list of the arguments: the collect node of these peers."""
    return list(values)


class LoopNode:
    """A call that counts the values it still waits for."""

    __slots__ = ("args", "dependents", "depends", "func", "value", "waiting")
    value: Any

    def __init__(self, ready: list[LoopNode], func: Callable[..., Any], *args: Any) -> None:
        self.func = func
        self.args = args
        self.dependents: list[LoopNode] = []
        waiting = 0
        for arg in args:
            if type(arg) is LoopNode:
                arg.dependents.append(self)
                waiting += 1
        self.waiting = waiting
        self.depends = waiting > 0
        if not waiting:
            ready.append(self)


class CountingLoop(Engine):
    """The loop one writes by hand: count dependencies down, keep a stack of what is ready."""

    name = "loop"

    def run(self, build: Build) -> Any:
        ready: list[LoopNode] = []
        output = build(
            lambda func: partial(LoopNode, ready, func),
            lambda handles: LoopNode(ready, pack, *handles),
        )
        while ready:
            node = ready.pop()
            args: Any = node.args
            if node.depends:
                args = [arg.value if type(arg) is LoopNode else arg for arg in args]
            node.value = node.func(*args)
            for dependent in node.dependents:
                dependent.waiting -= 1
                if not dependent.waiting:
                    ready.append(dependent)
        return output.value


class AsyncioTasks(Engine):
    """One asyncio task a node; a task awaits those of its arguments."""

    name = "asyncio"
    coroutines = True

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, build: Build) -> Any:
        return self._loop.run_until_complete(self._main(build))

    async def _main(self, build: Build) -> Any:
        spawn = self._loop.create_task

        def wrap(func: Callable[..., Any]) -> Callable[..., asyncio.Task[Any]]:
            call = call_coroutine if inspect.iscoroutinefunction(func) else call_plain
            return lambda *args: spawn(call(func, args))

        return await build(wrap, lambda handles: spawn(call_plain(pack, tuple(handles))))

    def close(self) -> None:
        self._loop.close()


async def call_plain(func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return func(*[await arg if isinstance(arg, asyncio.Task) else arg for arg in args])


async def call_coroutine(func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return await func(*[await arg if isinstance(arg, asyncio.Task) else arg for arg in args])


class SortedNode:
    """A call with room for its value."""

    __slots__ = ("args", "func", "value")
    value: Any

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.func = func
        self.args = args


class Graphlib(Engine):
    """A loop driven by the standard library's TopologicalSorter."""

    name = "graphlib"

    def run(self, build: Build) -> Any:
        sorter: TopologicalSorter[SortedNode] = TopologicalSorter()

        def call(func: Callable[..., Any], *args: Any) -> SortedNode:
            node = SortedNode(func, args)
            sorter.add(node, *[arg for arg in args if type(arg) is SortedNode])
            return node

        output = build(lambda func: partial(call, func), lambda handles: call(pack, *handles))
        sorter.prepare()
        while sorter.is_active():
            for node in sorter.get_ready():
                args = [arg.value if type(arg) is SortedNode else arg for arg in node.args]
                node.value = node.func(*args)
                sorter.done(node)
        return output.value
