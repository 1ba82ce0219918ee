"""Compiled loops between the bytes of files and samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsp.kernels.compiled import kernel

_FULL = 2.0**23


@kernel("u1[::1]", "f4[::1]")
def unpack_24(packed: Any, samples: Any) -> None:
    """Write 24-bit numbers, three bytes each, the lowest first, as ``samples`` of full scale 1.0."""
    scale = np.float32(1.0 / _FULL)
    for i in range(samples.shape[0]):
        whole = packed[3 * i] | packed[3 * i + 1] << 8 | packed[3 * i + 2] << 16
        samples[i] = np.float32(np.int32(whole - ((whole & 0x800000) << 1))) * scale


@kernel("f8[::1]", "u1[::1]", "i8[::1]")
def pack_24(samples: Any, packed: Any, over: Any) -> None:
    """Round ``samples`` of full scale 1.0 to 24-bit numbers held in range, three bytes each, the lowest first.

    ``over``: how many lay beyond ±1, and the index of the first of these, −1 for none.
    """
    over[0], over[1] = 0, -1
    for i in range(samples.shape[0]):
        x = samples[i]
        if abs(x) > 1.0:
            if over[0] == 0:
                over[1] = i
            over[0] += 1
        whole = np.int32(min(max(np.rint(x * _FULL), -_FULL), _FULL - 1.0))
        packed[3 * i] = np.uint8(whole & 255)
        packed[3 * i + 1] = np.uint8((whole >> 8) & 255)
        packed[3 * i + 2] = np.uint8((whole >> 16) & 255)
