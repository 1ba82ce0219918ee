"""Tell whoever waits that kernels are being compiled. Every command imports this, so it imports next to nothing."""

from __future__ import annotations

from controller.events import Emit, Finding, Started
from dsp.kernels import compiled

__all__ = ["NO_PLACE_HINT", "tell_compiling"]

NO_PLACE_HINT = "Set NUMBA_CACHE_DIR to a folder of yours; until then every start compiles anew, some ten seconds."


def tell_compiling(emit: Emit) -> None:
    """Let ``emit`` be told from now on when somebody has to wait for kernels to be compiled."""

    def tell(compiling: compiled.Compiling) -> None:
        if compiling.seconds is None:
            emit(Started("kernels", f"compiling {compiling.module}, once for each version on this machine"))
        elif compiling.trouble:
            emit(Finding("kernels", f"cannot be kept: {compiling.trouble}", NO_PLACE_HINT, "warning"))

    compiled.on_compile = tell
