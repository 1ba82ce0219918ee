"""Numba's compiler without what kernels do not need: some fifth less work for the same results, bit for bit.

What is left out: looking for closures, array expressions and overloads to put in line, of which kernels have none;
deciding anew at every operator which types it takes; and the round of LLVM's optimiser that prepares for the pruning
of reference counts, of which kernels have none either. The round over single functions is no waste, although one over
the whole module follows: without it the loops are some 5 % slower.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba.core import compiler, typed_passes, types, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import PassManager

__all__ = ["KernelCompiler", "ObjectLibrary", "remembering"]

_NEEDLESS = (
    untyped_passes.InlineClosureLikes,
    typed_passes.InlineOverloads,
    typed_passes.NopythonRewrites,
)


class KernelCompiler(compiler.CompilerBase):  # type: ignore[misc]
    """The passes of numba's own compiler but for the needless ones."""

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline."""
        whole = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager = PassManager("kernels")
        for one, description in whole.passes:
            if one not in _NEEDLESS:
                manager.add_pass(one, description)
        manager.finalize()
        return [manager]


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


@cache
def remembering(context: Any) -> Any:
    """Return a typing context that is ``context`` and remembers what each function gives for which types."""
    remembered: dict[Any, Any] = {}

    class Remembering(type(context)):  # type: ignore[misc]
        def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
            # A dispatcher is not numba's own, and is asked for what it compiles.
            if kws or not isinstance(func, types.Function):
                return super().resolve_function_type(func, args, kws)
            key = func, tuple(args)
            found = remembered.get(key)
            if found is None:
                found = remembered[key] = super().resolve_function_type(func, args, kws)
            return found

        def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
            key = target, index, value
            found = remembered.get(key)
            if found is None:
                found = remembered[key] = super().resolve_setitem(target, index, value)
            return found

    same = object.__new__(Remembering)
    same.__dict__ = context.__dict__
    return same
