"""Operators on nodes: each builds the node of the operation. Equality is not among them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ops import Op

__all__ = ["Operators"]


class Operators:
    """What `DispatchNode` inherits its operators from."""

    __slots__ = ()

    def _operate(self, func: Callable[..., Any], *args: Any) -> Op[Any]:
        """Build the node that calls `func`."""
        raise NotImplementedError

    # fmt: off
    def __add__(self, other: Any) -> Op[Any]: return self._operate(operator.add, self, other)
    def __radd__(self, other: Any) -> Op[Any]: return self._operate(operator.add, other, self)
    def __sub__(self, other: Any) -> Op[Any]: return self._operate(operator.sub, self, other)
    def __rsub__(self, other: Any) -> Op[Any]: return self._operate(operator.sub, other, self)
    def __mul__(self, other: Any) -> Op[Any]: return self._operate(operator.mul, self, other)
    def __rmul__(self, other: Any) -> Op[Any]: return self._operate(operator.mul, other, self)
    def __matmul__(self, other: Any) -> Op[Any]: return self._operate(operator.matmul, self, other)
    def __rmatmul__(self, other: Any) -> Op[Any]: return self._operate(operator.matmul, other, self)
    def __truediv__(self, other: Any) -> Op[Any]: return self._operate(operator.truediv, self, other)
    def __rtruediv__(self, other: Any) -> Op[Any]: return self._operate(operator.truediv, other, self)
    def __floordiv__(self, other: Any) -> Op[Any]: return self._operate(operator.floordiv, self, other)
    def __rfloordiv__(self, other: Any) -> Op[Any]: return self._operate(operator.floordiv, other, self)
    def __mod__(self, other: Any) -> Op[Any]: return self._operate(operator.mod, self, other)
    def __rmod__(self, other: Any) -> Op[Any]: return self._operate(operator.mod, other, self)
    def __divmod__(self, other: Any) -> Op[Any]: return self._operate(divmod, self, other)
    def __rdivmod__(self, other: Any) -> Op[Any]: return self._operate(divmod, other, self)
    def __pow__(self, other: Any, modulus: Any = None) -> Op[Any]:
        return self._operate(pow, self, other, *(() if modulus is None else (modulus,)))
    def __rpow__(self, other: Any) -> Op[Any]: return self._operate(pow, other, self)
    def __and__(self, other: Any) -> Op[Any]: return self._operate(operator.and_, self, other)
    def __rand__(self, other: Any) -> Op[Any]: return self._operate(operator.and_, other, self)
    def __or__(self, other: Any) -> Op[Any]: return self._operate(operator.or_, self, other)
    def __ror__(self, other: Any) -> Op[Any]: return self._operate(operator.or_, other, self)
    def __xor__(self, other: Any) -> Op[Any]: return self._operate(operator.xor, self, other)
    def __rxor__(self, other: Any) -> Op[Any]: return self._operate(operator.xor, other, self)
    def __lshift__(self, other: Any) -> Op[Any]: return self._operate(operator.lshift, self, other)
    def __rlshift__(self, other: Any) -> Op[Any]: return self._operate(operator.lshift, other, self)
    def __rshift__(self, other: Any) -> Op[Any]: return self._operate(operator.rshift, self, other)
    def __rrshift__(self, other: Any) -> Op[Any]: return self._operate(operator.rshift, other, self)
    def __lt__(self, other: Any) -> Op[Any]: return self._operate(operator.lt, self, other)
    def __le__(self, other: Any) -> Op[Any]: return self._operate(operator.le, self, other)
    def __gt__(self, other: Any) -> Op[Any]: return self._operate(operator.gt, self, other)
    def __ge__(self, other: Any) -> Op[Any]: return self._operate(operator.ge, self, other)
    def __neg__(self) -> Op[Any]: return self._operate(operator.neg, self)
    def __pos__(self) -> Op[Any]: return self._operate(operator.pos, self)
    def __invert__(self) -> Op[Any]: return self._operate(operator.invert, self)
    def __abs__(self) -> Op[Any]: return self._operate(abs, self)
    # fmt: on
