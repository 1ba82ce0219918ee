"""What signal code refuses, in one tree."""


class DspError(ValueError):
    """Root of the signal floor's errors; ``hint`` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ShapeError(DspError):
    """Two arrays that must agree in shape do not."""


class NoAlignment(DspError):  # noqa: N818 - the field's word: there is no alignment to be had
    """Two recordings have nothing in common that could be aligned."""


class KernelError(DspError):
    """A compiled kernel that cannot be made, or that failed."""


class KernelTypeError(KernelError, TypeError):
    """A kernel was called with what it is not declared for."""
