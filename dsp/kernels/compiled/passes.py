"""Numba's compiler for kernels: the passes that they need, without what they do not need.

Kernels have no closures, generators, ``with``, exceptions to catch or reference counts, and parts are put into them as
they are. So most of numba's passes would only look for what is not there, and nearly all of them keep lists up to date
that nobody reads: half of the front end's time.
"""

from __future__ import annotations

from typing import Any

from numba.core import compiler, interpreter, ir, ir_utils, ssa, transforms, typed_passes, untyped_passes
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.inline_closurecall import InlineWorker, callee_ir_validator
from numba.core.rewrites import static_binop, static_getitem, static_raise

from dsp.kernels.compiled.lowering import KernelLower
from dsp.kernels.compiled.variables import read, written

__all__ = ["KernelCompiler", "KernelFlags"]

_CONSTANTS = (
    static_getitem.RewriteConstGetitems,
    static_getitem.RewriteConstSetitems,
    static_binop.DetectStaticBinops,
    static_raise.RewriteConstRaises,
)


class KernelFlags(compiler.Flags):  # type: ignore[misc]
    """What kernels are compiled with: one object that numba finds again by itself instead of by all its values."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def copy(self) -> KernelFlags:
        """Return itself; passes of kernels do not change it."""
        return self


class KernelCompiler(compiler.CompilerBase):  # type: ignore[misc]
    """The compiler of kernels."""

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline."""
        manager = _untyped("kernels")
        for one in (
            _ReconstructSSA,
            typed_passes.NopythonTypeInference,
            _StripPhis,
            typed_passes.NoPythonSupportedFeatureValidation,
            _Lowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(one, one._name)
        manager.finalize()
        return [manager]


class _Reader(interpreter.Interpreter):  # type: ignore[misc]
    """Reads bytecode without looking for ``with``, ``*args`` and dictionaries afterwards."""

    def post_process(self, peepholes: Any, func_ir: Any) -> Any:
        return func_ir


@register_pass(mutates_CFG=True, analysis_only=False)
class _Read(untyped_passes.TranslateByteCode):  # type: ignore[misc]
    _name = "read_kernel"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = _Reader(state.func_id).interpret(state.bc)
        return True


def _untyped(name: str) -> Any:
    manager = PassManager(name)
    for one in (_Read, untyped_passes.FixupArgs, _Settle, _FindConstants, _InlineParts):
        manager.add_pass(one, one._name)
    return manager


def _settle(func_ir: Any, blocks: dict[Any, Any]) -> None:
    func_ir.blocks = transforms.canonicalize_cfg(blocks)
    func_ir.generator_info = None
    func_ir._definitions = ir_utils.build_definitions(func_ir.blocks)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Settle(untyped_passes.IRProcessing):  # type: ignore[misc]
    _name = "settle_kernel"

    def run_pass(self, state: Any) -> bool:
        _settle(state.func_ir, state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _FindConstants(untyped_passes.GenericRewrites):  # type: ignore[misc]
    """Find the indices, operands and errors that are constants."""

    _name = "find_constants"

    def run_pass(self, state: Any) -> bool:
        blocks = state.func_ir.blocks
        for one in _CONSTANTS:
            rewrite = one(state)
            for label in blocks:
                while rewrite.match(state.func_ir, blocks[label], None, None):
                    blocks[label] = rewrite.apply()
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _InlineParts(untyped_passes.InlineInlinables):  # type: ignore[misc]
    _name = "inline_parts"

    def run_pass(self, state: Any) -> bool:
        worker = _Parts(
            state.typingctx, state.targetctx, state.locals, state.pipeline, state.flags, validator=callee_ir_validator
        )
        blocks = state.func_ir.blocks
        waiting = list(blocks.items())
        found = False
        while waiting:
            _, block = waiting.pop()
            for place, statement in enumerate(block.body):
                called = isinstance(statement, ir.Assign) and getattr(statement.value, "op", "") == "call"
                if called and ir_utils.guard(self._do_work, state, waiting, block, place, statement.value, worker):
                    found = True
                    break
        if found:
            for dead in compute_cfg_from_blocks(blocks).dead_nodes():
                del blocks[dead]
            _settle(state.func_ir, ir_utils.simplify_CFG(blocks))
        return found


class _Parts(InlineWorker):  # type: ignore[misc]
    """Reads a part anew wherever it is called, which is less work than to copy it."""

    def run_untyped_passes(self, func: Any, enable_ssa: bool = False) -> Any:
        self._compiler_pipeline = lambda state: _untyped("parts")
        func_ir = super().run_untyped_passes(func, enable_ssa)
        for block in func_ir.blocks.values():
            block.__deepcopy__ = lambda memo, block=block: block
        return func_ir


@register_pass(mutates_CFG=False, analysis_only=False)
class _ReconstructSSA(untyped_passes.ReconstructSSA):  # type: ignore[misc]
    """Give every assignment a variable of its own, looking at no block that a variable does not matter to."""

    _name = "kernel_ssa"

    def run_pass(self, state: Any) -> bool:
        blocks = state.func_ir.blocks
        graph = compute_cfg_from_blocks(blocks)
        frontiers = ssa._iterated_domfronts(graph)
        dominators = graph.dominators()
        places: dict[str, list[Any]] = {}
        uses: dict[str, set[Any]] = {}
        for label, block in blocks.items():
            for name in written(block):
                places.setdefault(name, []).append(label)
            for name in read(block):
                uses.setdefault(name, set()).add(label)
        several = [name for name, labels in places.items() if len(labels) > 1]
        several += [
            name
            for name, labels in uses.items()
            if len(places[name]) == 1 and any(places[name][0] not in dominators[label] for label in labels)
        ]
        kept = ssa._CacheListVars()
        for name in several:
            mentions = uses.get(name, set()).union(places[name])
            around = {label: block for label, block in blocks.items() if label in mentions}
            around, definitions = ssa._fresh_vars(around, name)
            meetings = ssa._compute_phi_locations(frontiers, definitions)
            blocks.update(around)
            around = {label: block for label, block in blocks.items() if label in around or label in meetings}
            blocks.update(ssa._fix_ssa_vars(around, name, definitions, graph, frontiers, kept))
        state.func_ir._definitions = ir_utils.build_definitions(blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _StripPhis(typed_passes.PreLowerStripPhis):  # type: ignore[misc]
    _name = "strip_kernel_phis"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = ir_utils.build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.NativeLowering):  # type: ignore[misc]
    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> Any:
        return KernelLower
