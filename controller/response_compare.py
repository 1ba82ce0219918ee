"""Our response of a loop beside one that another program measured: level and delay taken out, and what differs then."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.errors import CalibrationError
from controller.loops import LoopFacts, StoredResponse
from controller.response_text import ResponseTextError, TextResponse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOW_HZ, HIGH_HZ = 20.0, 20_000.0
LEVEL_HZ = 1000.0
DELAY_FROM_HZ = 200.0
"""The delay is fitted above this frequency: below it, couplings turn the phase."""
MOST_DELAY_S = 0.25
COARSE_HZ = 0.25
COARSE_STEPS = 1 << 18
"""Delays in steps of 15 µs: a third of a period of the highest frequency."""
DEFINITION = (
    "theirs less ours, 20 Hz to 20 kHz, at the frequencies of whichever has fewer; levels made equal at 1 kHz; delay "
    "and polarity taken out by the line through 0 Hz that fits the difference of phase best, 200 Hz to 20 kHz"
)


@dataclass(frozen=True)
class ResponseComparison:
    """Two responses of one loop, arrays (n,). ``their_db`` and ``our_db`` are re 1 kHz.

    ``delay_samples`` is positive when theirs is later; ``polarity`` −1 when it is the other way round. Phase and delay
    are None where their file has no phase. ``our_sd_db`` is our own error bar where the levels differ most.
    """

    hz: Floats
    our_db: Floats
    their_db: Floats
    their_offset_db: float
    worst_db: float
    worst_db_hz: float
    our_sd_db: float
    rms_db: float
    difference_deg: Floats | None = None
    worst_deg: float | None = None
    worst_deg_hz: float | None = None
    delay_samples: float | None = None
    polarity: int | None = None

    @property
    def difference_db(self) -> Floats:
        """Theirs less ours [dB]."""
        return self.their_db - self.our_db


def say_hz(hz: float) -> str:
    """Write a frequency: ``21.92 Hz``, ``19750 Hz``."""
    return f"{hz:.4g} Hz" if hz < 1000.0 else f"{hz:.0f} Hz"


def compare_responses(loop: LoopFacts, theirs: TextResponse, *, rate_hz: int) -> ResponseComparison:
    """Lay their response over that of a calibrated loop.

    Raises
    ------
    CalibrationError
        The calibration holds no response of that loop.
    ResponseTextError
        Theirs does not cover 1 kHz, or hardly meets ours.
    """
    ours = loop.response
    if ours is None:
        raise CalibrationError(
            f"The calibration holds no response of output {loop.output} → {loop.address}.",
            hint="Run 'halfnormal calibrate --only response'.",
        )
    hz, h, sd = _without_latency(ours, loop.latency_samples, rate_hz)
    low, high = max(LOW_HZ, hz[0], theirs.hz[0]), min(HIGH_HZ, hz[-1], theirs.hz[-1])
    if not low <= LEVEL_HZ <= high:
        raise ResponseTextError(
            f"The two responses cannot be made equal at 1 kHz: both hold only {low:g} to {high:g} Hz.",
            hint="Measure and export 20 Hz to 20 kHz.",
        )
    mine, other = (x[(x >= low) & (x <= high)] for x in (hz, theirs.hz))
    grid = min(mine, other, key=len)
    if len(grid) < 3:
        raise ResponseTextError(f"The two responses meet at {len(grid)} frequencies; that tells nothing.")
    our_db = _at(grid, hz, 20.0 * np.log10(np.abs(h)))
    their_db = _at(grid, theirs.hz, theirs.db)
    level = np.array([LEVEL_HZ])
    our_1k = float(_at(level, hz, 20.0 * np.log10(np.abs(h)))[0])
    their_1k = float(_at(level, theirs.hz, theirs.db)[0])
    difference = (their_db - their_1k) - (our_db - our_1k)
    worst = int(np.argmax(np.abs(difference)))
    our_sd_db = _at(grid[worst : worst + 1], hz, 20.0 / math.log(10.0) * sd / np.abs(h))
    found = ResponseComparison(
        hz=grid,
        our_db=our_db - our_1k,
        their_db=their_db - their_1k,
        their_offset_db=their_1k - our_1k,
        worst_db=float(difference[worst]),
        worst_db_hz=float(grid[worst]),
        our_sd_db=float(our_sd_db[0]),
        rms_db=float(np.sqrt(np.mean(np.square(difference)))),
    )
    if theirs.deg is None:
        return found
    return _with_phase(found, grid, hz, h, theirs.hz, theirs.deg, loop.latency_samples, rate_hz)


def _without_latency(ours: StoredResponse, latency_samples: float, rate_hz: int) -> tuple[Floats, Any, Floats]:
    hz = np.array(ours.hz)
    h = (np.array(ours.re) + 1j * np.array(ours.im)) * np.exp(2j * np.pi * hz * latency_samples / rate_hz)
    sound = (hz > 0.0) & (np.abs(h) > 0.0)
    if np.count_nonzero(sound) < 3:
        raise CalibrationError("The calibration's response of that loop is empty.", hint="Calibrate again.")
    return hz[sound], h[sound], np.array(ours.sd)[sound]


def _at(grid: Floats, hz: Floats, values: Floats) -> Floats:
    """Interpolate straight over the logarithm of the frequency."""
    return np.asarray(np.interp(np.log(grid), np.log(hz), values))


def _with_phase(
    found: ResponseComparison,
    grid: Floats,
    hz: Floats,
    h: Any,
    their_hz: Floats,
    their_deg: Floats,
    latency_samples: float,
    rate_hz: int,
) -> ResponseComparison:
    ours = _at(grid, hz, np.unwrap(np.angle(h)))
    fitted = grid >= DELAY_FROM_HZ
    delay_s = 0.0
    for _ in range(2):  # the second time between points that no delay turns any more
        straight = np.unwrap(np.radians(their_deg) + 2.0 * np.pi * their_hz * delay_s)
        turned = _at(grid, their_hz, straight) - ours
        more_s, polarity = _delay(grid[fitted], turned[fitted])
        delay_s += more_s
    rest = turned + 2.0 * np.pi * grid * more_s + (np.pi if polarity < 0 else 0.0)
    deg = np.degrees(np.angle(np.exp(1j * rest)))
    worst = int(np.argmax(np.abs(deg)))
    return replace(
        found,
        difference_deg=deg,
        worst_deg=float(deg[worst]),
        worst_deg_hz=float(grid[worst]),
        delay_samples=delay_s * rate_hz - latency_samples,
        polarity=polarity,
    )


def _delay(hz: Floats, turned: Floats) -> tuple[float, int]:
    """Return the delay [s] and polarity whose straight phase through 0 Hz lies nearest to ``turned`` [rad].

    Coarse: the delay that lines most phases up, by a Fourier transform over steps of a quarter hertz; then the
    least-squares line through zero of what is left.
    """
    phases = np.exp(1j * turned)
    places = np.zeros(COARSE_STEPS, np.complex128)
    np.add.at(places, np.rint(hz / COARSE_HZ).astype(int), phases)
    sums = np.fft.ifft(places).real
    lags = np.fft.fftfreq(COARSE_STEPS, COARSE_HZ)
    most = min(MOST_DELAY_S, 0.5 / float(np.diff(hz).min())) if len(hz) > 1 else 0.0
    best = int(np.argmax(np.where(np.abs(lags) <= most, np.abs(sums), 0.0)))
    delay, polarity = float(lags[best]), 1 if sums[best] > 0.0 else -1
    for _ in range(3):
        rest = np.angle(polarity * phases * np.exp(2j * np.pi * hz * delay))
        delay -= float(np.sum(rest * hz) / (2.0 * np.pi * np.sum(hz * hz)))
    return delay, polarity
