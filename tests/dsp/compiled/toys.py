"""Kernels to try the loader with, good and bad."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dsp.kernels import compiled
from dsp.kernels.compiled import store
from dsp.kernels.compiled.places import sources_digest

TOY = '''
"""Kernels to try the loader with."""
import math
from typing import Any
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model
from dsp.kernels.compiled import kernel, part

SIXTEEN = ir.VectorType(ir.FloatType(), 16)

class Lanes(types.Type):
    def __init__(self):
        super().__init__("ToyLanes")

lanes = Lanes()

@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager, front_end):
        super().__init__(manager, front_end, SIXTEEN)

def _row(context, builder, kind, array, row):
    data = context.make_array(kind)(context, builder, array).data
    place = builder.gep(data, [builder.mul(row, ir.Constant(ir.IntType(64), 16))])
    return builder.bitcast(place, SIXTEEN.as_pointer())

@intrinsic
def load(typing_context, array, row):
    def generate(context, builder, signature, args):
        loaded = builder.load(_row(context, builder, signature.args[0], args[0], args[1]))
        loaded.align = 4
        return loaded
    return lanes(array, types.intp), generate

@intrinsic
def store(typing_context, array, row, value):
    def generate(context, builder, signature, args):
        stored = builder.store(args[2], _row(context, builder, signature.args[0], args[0], args[1]))
        stored.align = 4
        return context.get_dummy_value()
    return types.none(array, types.intp, lanes), generate

@intrinsic
def add(typing_context, a, b):
    def generate(context, builder, signature, args):
        return builder.fadd(args[0], args[1])
    return lanes(lanes, lanes), generate

@part
def quiet(x):
    return x if abs(x) > 0.25 else 0.0

@kernel("f4[:,::1]", "f8[::1]", "i8", "f8", "b1")
def scale(x, sums, frames, gain, on):
    """Scale ``frames`` rows of x, add their sines to sums."""
    if on:
        for i in range(frames):
            for c in range(x.shape[1]):
                x[i, c] = max(min(x[i, c] * gain, 100.0), -100.0)
                sums[c] += quiet(math.sin(x[i, c]))

@kernel("f4[:,::1]")
def running_sum(x):
    """Add to each row of sixteen lanes all rows before it."""
    total = load(x, 0)
    for row in range(1, x.shape[0]):
        total = add(total, load(x, row))
        store(x, row, total)

@kernel("f8[::1]", "f8", "f4", "i8", "i4", "u8", "u1", "b1")
def numbers(out, a, b, c, d, e, f, g):
    """Write down every number as it arrives."""
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = a, b, c, d, e, f, g

@kernel("f8[:,:,::1]", "c8[::1]", "Array(i2, 1, 'C', readonly=True)", "f8[::1]")
def shapes(deep, spectrum, fixed, out):
    """Look at arrays of other kinds."""
    out[0] = deep[1, 2, 3]
    out[1] = deep.shape[0] * 100 + deep.shape[1] * 10 + deep.shape[2]
    out[2] = spectrum[1].imag
    out[3] = fixed[2]

@kernel("f8[::1]", "i8")
def long(x, times):
    """Take a while."""
    for _ in range(times):
        for i in range(x.shape[0]):
            x[i] = x[i] * 0.999 + 1.0
'''

TINY = """
from dsp.kernels.compiled import kernel
@kernel("f8[::1]")
def one(x):
    x[0] = 1.0
@kernel("f8[::1]")
def stumble(x):
    x[0] = 1.0
    if x[0] > 0.0:
        raise ValueError
"""

WAYS = """
import numpy as np
from dsp.kernels.compiled import kernel, part

@kernel("b1", "i8[::1]", "i8[:,::1]")
def whole(on, x, out):
    n = x.shape[0]
    for i in range(n):
        k = x[i]
        out[i, 0] = k // 8
        out[i, 1] = k % 8
        out[i, 2] = k // 7
        out[i, 3] = k % 7
        out[i, 4] = min(k, 3, i)
        out[i, 5] = max(k, -i)
        out[i, 6] = k * 3 - 5 if on else -k
        out[i, 7] = x[i - n] + x[-1 - i] - x[k % n - n]
        out[-1 - i, -1] = k // (k % 5 + 1) + (k >= i) + 2 * (k != 3)

@kernel("f8[::1]", "f4[::1]", "f8[:,::1]")
def real(a, b, out):
    for i in range(a.shape[0]):
        x, y = a[i], b[i]
        single = np.float32(x)
        out[i, 0] = x / y
        out[i, 1] = max(x, y)
        out[i, 2] = min(y, x, 2)
        out[i, 3] = 1 * (x < y) + 2 * (x <= y) + 4 * (x > y) + 8 * (x >= y) + 16 * (x == y) + 32 * (x != y)
        out[i, 4] = single * y + y - single / np.float32(3.0)
        out[i, 5] = i / 3 + i * x - (i + 1) / (i - 2)
        b[i] = -x * y + 0.1
        out[i, 6] = b[i]

@kernel("i8", "i8", "i8[::1]")
def loops(start, stop, out):
    last = -1
    for i in range(start, stop):
        out[0] += 1
        out[1] += i
        last = i
    out[2] = last
    for i in range(stop):
        if i == 3:
            continue
        if i > 5:
            break
        out[3] += i
        for j in range(i, 4):
            out[4] += i * j
    else:
        out[5] = 1
    for i in range(stop, start, -2):
        out[6] += i
    a, b = start, stop
    while a < b:
        a, b = a + (2 if a % 2 else 1), b - a % 2
        out[7] += a * b
    if stop > start:
        kind = 4
    elif stop == start:
        kind = 2
    else:
        kind = out[1]
    out[8] = kind

@part
def _first_above(line, limit):
    for i in range(line.shape[0]):
        if line[i] > limit:
            return i
    return -1

@kernel("f8[:,:,::1]", "i8", "f8[::1]")
def rows(deep, at, out):
    count, height, width = deep.shape
    plane = deep[at]
    line = plane[-1]
    for k in range(height):
        out[0] += _first_above(line, 0.5) + _first_above(deep[at, k], 0.25)
        for j in range(1, width):
            line[j] += 0.5 * line[j - 1]
        line = deep[k % count, k]
    tail = line[1:]
    tail[0] = out[0] + count * height * width
    out[1] = plane[1, -2] + deep[-1, at, 2]
"""

REFUSED = {
    "allocates": """
import numpy as np
from dsp.kernels.compiled import kernel
@kernel("f8[::1]")
def spoil(x):
    x[0] = np.zeros(3).sum()
""",
    "foreign": """
from numba import types
from dsp.kernels.compiled import kernel
clock = types.ExternalFunction("clock", types.int64())
@kernel("f8[::1]")
def tick(x):
    x[0] = clock()
""",
    "loose": """
from dsp.kernels.compiled import kernel
@kernel("f8[:]")
def gaps(x):
    x[0] = 1.0
""",
    "unknown": """
from dsp.kernels.compiled import kernel
@kernel("f9[::1]")
def kind(x):
    x[0] = 1.0
""",
    "uncounted": """
from dsp.kernels.compiled import kernel
@kernel("f8[::1]", "i8")
def types(x):
    x[0] = 1.0
""",
    "outsider": """
from dsp.kernels.compiled import kernel
from dsp.processor import Processor
@kernel("f8[::1]")
def one(x):
    x[0] = 1.0
""",
    "neighbour": """
from dsp.kernels import outsider
""",
}

MODULES = {"toy": TOY, "tiny": TINY, "ways": WAYS, **REFUSED}


def fresh() -> None:
    """Forget what this process has loaded, as a new process would."""
    for remembered in (compiled._library, compiled._native, store._key, store._file_name, sources_digest):
        remembered.cache_clear()
    for name in [name for name in sys.modules if name.startswith("dsp.kernels.") and name.split(".")[2] in MODULES]:
        del sys.modules[name]


def in_a_new_process(room: Path, code: str) -> str:
    prelude = f"import sys, numpy as np, dsp.kernels\ndsp.kernels.__path__.append({str(room)!r})\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{prelude}from dsp.kernels import compiled\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout
