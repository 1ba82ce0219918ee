"""Who reaches whom: wrong cells in a million, gains, crosstalk, and how much signal it takes."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measurement_loops import RATE_HZ
from benchmarks.rows import row
from benchmarks.simulated_loop import Complexes, Floats, bent, comb_return, tones_of, white
from dsp.measure.loop import measure_loops
from dsp.measure.probe import Comb, comb

SIGNAL_GOAL_S = {32: 0.5, 64: 1.0}
PERIOD_FRAMES = {32: 2_048, 64: 8_192}
PERIODS = 2
LEVEL_DBFS = -21.0
H2_DB, H3_DB = -80.0, -90.0


@dataclass(frozen=True)
class Wiring:
    """The truth of one patch: gains (outputs, inputs), the leaks among them, and which cells are wires."""

    gains: Floats
    wires: NDArray[np.bool_]
    delays: Floats


def random_wiring(rng: np.random.Generator, size: int) -> Wiring:
    """Return a patch: 10 % dead sends, 10 % splits or sums, either polarity, −12 to +6 dB, crosstalk −80 to −90 dB."""
    gains = 10.0 ** (rng.uniform(-90.0, -80.0, (size, size)) / 20.0) * rng.choice([-1.0, 1.0], (size, size))
    wires = np.zeros((size, size), dtype=bool)
    wires[np.arange(size), rng.permutation(size)] = rng.random(size) >= 0.1
    for _ in range(size // 10):
        wires[rng.integers(size), rng.integers(size)] = True
    levels = 10.0 ** (rng.uniform(-12.0, 6.0, (size, size)) / 20.0) * rng.choice([-1.0, 1.0], (size, size))
    delays = 40.0 + rng.uniform(0.0, 8.0, (size, size))
    return Wiring(np.where(wires, levels, gains), wires, delays)


def comb_tones(probe: Comb) -> list[tuple[NDArray[np.int64], Complexes]]:
    """Return per output its bins and the complex amplitudes the simulator reads out of the period."""
    tones = [tones_of(probe.period[:, o].astype(np.float64), probe.bins[o]) for o in range(probe.outputs)]
    return [(b, t.amplitude * np.exp(1j * t.phase)) for b, t in zip(probe.bins, tones, strict=True)]


def recorded(
    tones: list[tuple[NDArray[np.int64], Complexes]],
    frames: int,
    wiring: Wiring,
    rng: np.random.Generator,
    noise_db: float,
) -> Floats:
    """Return two periods behind the wiring, bent by H2 −80 and H3 −90 dB of a sine of −1 dBFS, with noise."""
    at = 10.0 ** (-1.0 / 20.0)
    once = bent(comb_return(tones, frames, wiring.gains, wiring.delays), h2_db=H2_DB, h3_db=H3_DB, at=at)
    return np.tile(once, (PERIODS, 1)) + white(rng, (PERIODS * frames, once.shape[1]), noise_db)


def cells(size: int, maps: int, seed: int, *, noise_db: float = -80.0) -> tuple[int, int, Floats, Floats]:
    """Return wrong cells, all cells, and the gain errors of the wires with their reported spreads [dB].

    A cell is wrong when a wire is not present, when anything else is, or when a wire has the wrong polarity.
    """
    rng = np.random.default_rng(seed)
    frames = PERIOD_FRAMES[size]
    probe = comb(size, rate_hz=RATE_HZ, level_dbfs=LEVEL_DBFS, seed=seed, period_frames=frames)
    tones = comb_tones(probe)
    wrong, errors, sds = 0, [], []
    for _ in range(maps):
        wiring = random_wiring(rng, size)
        found = measure_loops(recorded(tones, frames, wiring, rng, noise_db), probe)
        wrong += int(np.count_nonzero(found.present != wiring.wires))
        both = found.present & wiring.wires
        wrong += int(np.count_nonzero(found.polarity[both] != np.sign(wiring.gains[both])))
        errors.append(found.gain_db[both] - 20.0 * np.log10(np.abs(wiring.gains[both])))
        sds.append(found.gain_sd[both])
    return wrong, maps * size * size, np.concatenate(errors), np.concatenate(sds)


def many_cells(size: int, maps: int) -> tuple[int, int, Floats, Floats]:
    """Return the same from both processors, in batches that are seeded one by one."""
    batch = max(1, min(25, maps // 4))
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(cells, [size] * (maps // batch), [batch] * (maps // batch), range(maps // batch)))
    wrong, count, errors, sds = zip(*parts, strict=True)
    return sum(wrong), sum(count), np.concatenate(errors), np.concatenate(sds)


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of the patch."""
    out = []
    for size, maps in ((32, 8 if quick else 1_000), (64, 1 if quick else 12)):
        wrong, count, errors, sds = many_cells(size, maps)
        signal_s = (1 + PERIODS) * PERIOD_FRAMES[size] / RATE_HZ
        goal = SIGNAL_GOAL_S[size]
        what = f"patch {size}x{size}"
        out.append(row(f"{what}: signal, settling in it", signal_s, "s", goal=goal, holds=signal_s <= goal))
        out.append(
            row(
                f"{what}: wrong cells, noise -80 dBFS",
                wrong,
                f"of {count}",
                goal=0,
                holds=wrong == 0 if count >= 1e6 or wrong else None,
                note=f"at most {3.0 / count:.1e} a cell at 95 %; the cells of one map are not independent",
            )
        )
        rms, worst = math.sqrt(float(np.mean(errors**2))), float(np.max(np.abs(errors)))
        out.append(
            row(
                f"{what}: gain, rms error",
                rms,
                "dB",
                goal=0.002,
                holds=rms <= 0.002,
                note=f"largest {worst:.2g}; reported sd {math.sqrt(float(np.mean(sds**2))) / rms:.2f} x the spread",
            )
        )
    return out
