"""A developer is told by name which kernel cannot stand alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dsp.errors import KernelError
from dsp.kernels import compiled


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("allocates", "allocates.spoil"),
        ("foreign", "foreign.tick needs clock"),
        ("loose", "loose.gaps: x is declared as"),
        ("unknown", "unknown.kind: .*f9"),
        ("uncounted", "uncounted.types has 1 arguments .* types of 2"),
        ("outsider", "outsider take something from dsp.processor"),
        ("neighbour", "neighbour take something from dsp.processor"),
    ],
)
def test_a_kernel_that_cannot_stand_alone_is_refused_by_name(room, module, words):
    with pytest.raises(KernelError, match=words):
        compiled.library(module)


def test_a_kernel_that_raises_after_all_is_no_silent_success(room):
    tiny = compiled.library("tiny")
    with pytest.raises(KernelError, match=r"tiny.stumble raised"):
        tiny.stumble(np.zeros(1))
    with pytest.raises(KernelError, match=r"tiny.stumble raised"):
        tiny.stumble.bind(None)(np.zeros(1))


def test_the_program_s_own_modules_of_kernels_are_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {"reverb", "strip"} <= set(compiled.modules())
    assert "compiled" not in compiled.modules()
