"""What numba's compiler takes its types from and puts its code into, for kernels.

A typing context need not decide anew at every operator which types it takes. A code library needs no round of LLVM's
optimiser that prepares for the pruning of reference counts, of which kernels have none. The round over single functions
is no waste, although one over the whole module follows: without it, or with a lighter one, some loops are 5 to 15 %
slower.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.typing import signature

__all__ = ["ObjectLibrary", "remembering"]


class ObjectLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A code library that is optimised for this machine and never loaded into numba's engine."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout
        for function in module.functions:
            if not function.is_declaration:
                passes, builder = self._codegen._function_pass_manager()
                passes.run(function, builder)

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def object_code(self) -> bytes:
        """Return the machine code as an object file."""
        code: bytes = self._codegen._tm.emit_object(self._final_module)
        return code

    def foreign(self) -> list[str]:
        """Names of what the code takes from elsewhere."""
        module = self._final_module
        symbols = [*module.functions, *module.global_variables]
        names: list[str] = [
            symbol.name for symbol in symbols if symbol.is_declaration and not symbol.name.startswith("llvm.")
        ]
        return [*names, *self._dynamic_globals]


_ARITHMETIC = frozenset(
    [
        operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
        operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod,
        operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
    ]
)  # fmt: skip
"""Operators that take a literal number as any other."""

_NUMBERS = frozenset({types.int64, types.float32, types.float64})


@cache
def remembering(context: Any) -> Any:
    """Return a typing context that is ``context`` and remembers what each function gives for which types."""
    remembered: dict[Any, Any] = {}

    class Remembering(type(context)):  # type: ignore[misc]
        def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
            # A dispatcher is not numba's own, and is asked for what it compiles.
            if kws or isinstance(func, types.Dispatcher):
                return super().resolve_function_type(func, args, kws)
            function = func.typing_key if isinstance(func, types.Function) else func
            plain = tuple(map(types.unliteral, args))
            if function in _ARITHMETIC or (function is operator.getitem and _of_numbers(plain[0])):
                args = plain
            key = func, tuple(args)
            found = remembered.get(key)
            if found is None:
                if function in (min, max) and len(plain) > 1 and _NUMBERS.issuperset(plain):
                    found = signature(self.unify_types(*plain), *plain)
                else:
                    found = super().resolve_function_type(func, args, kws)
                remembered[key] = found
            return found

        def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
            if _of_numbers(target):
                index, value = types.unliteral(index), types.unliteral(value)
            key = target, index, value
            found = remembered.get(key)
            if found is None:
                found = remembered[key] = super().resolve_setitem(target, index, value)
            return found

        def resolve_static_getitem(self, value: Any, index: Any) -> Any:
            # An array takes a constant index as any other.
            return None if _of_numbers(value) else super().resolve_static_getitem(value, index)

        def resolve_static_setitem(self, target: Any, index: Any, value: Any) -> Any:
            return None if _of_numbers(target) else super().resolve_static_setitem(target, index, value)

    same = object.__new__(Remembering)
    same.__dict__ = context.__dict__
    return same


def _of_numbers(kind: Any) -> bool:
    return isinstance(kind, types.Array) and isinstance(kind.dtype, types.Number)
