"""One loop's latency after four definitions, because a path with filters in it has no single one.

Couplings (first-order high-passes) and low-pass filters turn phases that a delay does not explain. On a converter delay
of 500.250 samples behind two 3 Hz couplings and an 80 kHz low-pass at 48 kHz the definitions differ by some hundredths
of a sample, a thousand times more than the noise makes them differ. The fit models the filters and gives the delay
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.measure.response import Response, in_band, most_likely_delay, phase_deg_at, undelayed

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


GROUP_LOW_HZ, GROUP_HIGH_HZ = 1000.0, 4000.0
SEEN_Z = 8.0
KEEP_TERM = 25.0
"""A term stays in the fit when it lowers chi-square by this: five standard deviations of one parameter."""
ROUNDS = 40
GROUP_RATIO = 1.005
"""Tones this close are averaged for the fit: over half a per cent no filter of the model bends by a millionth."""


@dataclass(frozen=True)
class Latencies:
    """Latency after each definition [samples], and the filters of the fit."""

    ml: Figure
    phase: Figure
    group: Figure
    fit: Figure
    highpass_hz: Figure
    """−3 dB corner of the fitted couplings taken together."""
    lowpass_hz: Figure
    """Corner of the fitted second-order Butterworth low-pass."""
    corners_hz: tuple[Figure, ...]
    """The couplings' own corners, higher first, where two can be told apart; else one, their effective sum."""
    gain_db: Figure
    """Gain of the flat part of the fitted path, without couplings and low-pass."""
    polarity: int
    """+1, −1, or 0 where nothing was seen."""
    chi2: float
    """Reduced chi-square of the fit: near 1 when delay, couplings and low-pass explain the response."""


def latencies(response: Response, *, rate_hz: float) -> Latencies:
    """Return the latency of a loop after four definitions, from its complex response.

    Every figure is "not observable" where the response does not stand out of its noise.

    - ``ml``: most likely delay of a flat path (Kay, *Estimation Theory*, 1993, section 7).
    - ``phase``: ``−φ(f)/(2πf)`` at ``f = rate/16``, the whole turns resolved by ``ml``, an inversion taken out.
    - ``group``: ``−dφ/dω``, least squares over 1 kHz to 4 kHz.
    - ``fit``: ``g·e^(−jωd)·(jf)²/((jf)² + s·jf + q)/(1 + √2·j·u·f − (u·f)²)`` by Gauss-Newton. ``s`` is the sum and
      ``q`` the product of two coupling corners: unlike the corners themselves the two stay apart when one goes to zero.
      ``1/u`` is the low-pass corner. A term that the response does not call for (chi-square falls by less than 25) is
      left out and not observable. Spreads come from the Jacobian, enlarged by the root of chi-square where that is
      above 1.
    """
    heard = in_band(response)
    if heard.hz.size < 16 or not np.all(np.isfinite(heard.h)):
        return _nothing(f"the response has {heard.hz.size} tones between 20 Hz and 20 kHz, too few")
    delay, gain, sd = most_likely_delay(heard, rate_hz=rate_hz)
    if abs(gain) * np.sqrt(np.sum(2.0 / heard.sd**2)) < SEEN_Z:
        return _nothing("the return does not stand out from the noise")
    upright = Response(response.hz, response.h * np.sign(gain), response.sd)
    best = _fitted(_grouped(undelayed(upright, delay, rate_hz=rate_hz)), rate_hz, abs(gain))
    return Latencies(
        ml=Figure(delay, sd),
        phase=_phase_delay(upright, delay, rate_hz),
        group=_group_delay(upright, delay, rate_hz),
        fit=Figure(delay + best.value("d"), best.sd("d"), best.note),
        highpass_hz=best.highpass(),
        lowpass_hz=best.lowpass(),
        corners_hz=best.corners(),
        gain_db=Figure(20.0 * float(np.log10(best.value("g"))), 20.0 / np.log(10.0) * best.sd("g") / best.value("g")),
        polarity=int(np.sign(gain)),
        chi2=best.chi2,
    )


def _grouped(response: Response) -> Response:
    """Return the means, weighted by 1/sd², of tones that lie within half a per cent: a tenth of the work, alike."""
    place = np.floor(np.log(response.hz) / np.log(GROUP_RATIO))
    starts = np.flatnonzero(np.concatenate([[True], np.diff(place) > 0.0]))
    weight = response.sd**-2.0
    total = np.add.reduceat(weight, starts)
    hz = np.add.reduceat(weight * response.hz, starts) / total
    h: Complexes = np.asarray(np.add.reduceat(weight * response.h, starts) / total, dtype=np.complex128)
    return Response(hz, h, total**-0.5)


def _nothing(why: str) -> Latencies:
    none = unseen(why)
    return Latencies(none, none, none, none, none, none, (), none, 0, float("nan"))


def _phase_delay(response: Response, delay: float, rate_hz: float) -> Figure:
    hz = rate_hz / 16.0
    left = phase_deg_at(response, hz, rate_hz=rate_hz, delay_samples=delay)
    if not left.observable:
        return left
    return Figure(delay - left.value / 360.0 * 16.0, left.sd / 360.0 * 16.0)


def _group_delay(response: Response, delay: float, rate_hz: float) -> Figure:
    band = in_band(undelayed(response, delay, rate_hz=rate_hz), GROUP_LOW_HZ, GROUP_HIGH_HZ)
    if band.hz.size < 8:
        return unseen(f"only {band.hz.size} tones lie between 1 kHz and 4 kHz")
    omega = 2.0 * np.pi * band.hz / rate_hz
    weight = (np.abs(band.h) / band.sd) ** 2
    middle = float(np.sum(weight * omega) / np.sum(weight))
    stiffness = float(np.sum(weight * (omega - middle) ** 2))
    slope = float(np.sum(weight * (omega - middle) * np.unwrap(np.angle(band.h))) / stiffness)
    return Figure(delay - slope, stiffness**-0.5)


@dataclass(frozen=True)
class _Fit:
    """Parameters by name, their covariance (chi-square taken in), and what they leave."""

    names: tuple[str, ...]
    at: Floats
    covariance: Floats
    cost: float
    chi2: float
    lowest_hz: float

    def value(self, name: str) -> float:
        return float(self.at[self.names.index(name)]) if name in self.names else 0.0

    def sd(self, name: str) -> float:
        place = self.names.index(name)
        return float(np.sqrt(self.covariance[place, place]))

    def spread(self, slopes: dict[str, float]) -> float:
        """Return the spread of a quantity from its derivatives by the parameters that are fitted."""
        row = np.array([slopes.get(name, 0.0) for name in self.names])
        return float(np.sqrt(row @ self.covariance @ row))

    @property
    def note(self) -> str:
        return "" if self.chi2 < 2.0 else f"chi-square {self.chi2:.1f}: the path holds more than delay and corners"

    def highpass(self) -> Figure:
        """Return where ``f⁴/((q − f²)² + s²f²)`` is one half."""
        if "s" not in self.names:
            return unseen(f"no coupling shows above {self.lowest_hz:.0f} Hz, the lowest tone")
        s, q = self.value("s"), self.value("q")

        def corner(s: float, q: float) -> float:
            p = s * s - 2.0 * q
            return float(np.sqrt(max(0.0, 0.5 * (p + np.sqrt(p * p + 4.0 * q * q)))))

        small = 1e-4 * max(s, 1e-3)
        slopes = {
            "s": (corner(s + small, q) - corner(s - small, q)) / (2.0 * small),
            "q": (corner(s, q + small) - corner(s, q - small)) / (2.0 * small),
        }
        return Figure(corner(s, q), self.spread(slopes), self.note)

    def corners(self) -> tuple[Figure, ...]:
        """Return the roots of ``x² − s·x + q`` where both are real and apart by three spreads, else their sum."""
        if "s" not in self.names:
            return ()
        s, q = self.value("s"), self.value("q")
        total = Figure(s, self.sd("s"), "effective sum of all coupling corners; single ones cannot be told apart")
        if "q" not in self.names:
            return (total,)
        apart = s * s - 4.0 * q
        if apart <= 3.0 * self.spread({"s": 2.0 * s, "q": -4.0}) or q <= 3.0 * self.sd("q"):
            return (total,)
        root = float(np.sqrt(apart))
        high = Figure(0.5 * (s + root), self.spread({"s": 0.5 + 0.5 * s / root, "q": -1.0 / root}), self.note)
        low = Figure(0.5 * (s - root), self.spread({"s": 0.5 - 0.5 * s / root, "q": 1.0 / root}), self.note)
        return (high, low)

    def lowpass(self) -> Figure:
        if "u" not in self.names:
            return unseen("no low-pass shows up to the highest tone")
        u = self.value("u")
        return Figure(1.0 / u, self.sd("u") / u**2, self.note)


_TERMS = ("g", "d", "s", "q", "u")
_STARTS = {"s": (0.3, 3.0, 20.0), "q": (0.0,), "u": (1e-5, 2e-5, 4e-5)}


def _fitted(response: Response, rate_hz: float, gain: float) -> _Fit:
    """Return the fit of the terms the response calls for: first a coupling, then a low-pass, then another."""
    best = _descend(response, rate_hz, {"g": gain, "d": 0.0})
    for added in (("s",), ("u",), ("q",), ("s", "q"), ("u",)):
        if any(name in best.names for name in added):
            continue
        found = dict(zip(best.names, best.at.tolist(), strict=True))
        tries = [
            _descend(
                response, rate_hz, {**found, **{name: _STARTS[name][min(k, len(_STARTS[name]) - 1)] for name in added}}
            )
            for k in range(max(len(_STARTS[name]) for name in added))
        ]
        better = min(
            (t for t in tries if t.value("s") >= 0.0 and t.value("u") >= 0.0), key=lambda t: t.cost, default=best
        )
        if best.cost - better.cost > KEEP_TERM * max(1.0, better.chi2):
            best = better
    return best


def _descend(response: Response, rate_hz: float, start: dict[str, float]) -> _Fit:
    """Run Gauss-Newton with Levenberg's damping from ``start``; only its parameters are free."""
    names = tuple(name for name in _TERMS if name in start)
    at = np.array([start[name] for name in names])
    left, slopes = _residual(response, rate_hz, names, at)
    cost = float(left @ left)
    damping = 1e-3
    for _ in range(ROUNDS):
        normal = slopes.T @ slopes
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        step = (
            np.linalg.solve(normal / np.outer(scale, scale) + damping * np.eye(at.size), slopes.T @ left / scale)
            / scale
        )
        trial = at + step
        new_left, new_slopes = _residual(response, rate_hz, names, trial)
        new_cost = float(new_left @ new_left)
        if new_cost <= cost:
            done = cost - new_cost < 1e-9 * (1.0 + cost) and damping < 1e-8
            at, left, slopes, cost, damping = trial, new_left, new_slopes, new_cost, max(damping * 0.1, 1e-12)
            if done:
                break
        else:
            damping = max(damping, 1e-12) * 10.0
            if damping > 1e8:
                break
    normal = slopes.T @ slopes
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    covariance = np.linalg.pinv(normal / np.outer(scale, scale), hermitian=True) / np.outer(scale, scale)
    chi2 = cost / max(1, left.size - at.size)
    return _Fit(names, at, covariance * max(1.0, chi2), cost, chi2, float(response.hz[0]))


def _residual(response: Response, rate_hz: float, names: tuple[str, ...], at: Floats) -> tuple[Floats, Floats]:
    """Return measured less model over the spread, real parts before imaginary ones, and the model's slopes alike."""
    p = dict(zip(names, at.tolist(), strict=True))
    jf = 1j * response.hz
    s, q, u, g = p.get("s", 0.0), p.get("q", 0.0), p.get("u", 0.0), p["g"]
    high = jf**2 + s * jf + q
    low = 1.0 + np.sqrt(2.0) * u * jf + (u * jf) ** 2
    model = g * np.exp(-2.0 * np.pi * jf * (p["d"] / rate_hz)) * jf**2 / high / low
    ratios: dict[str, Complexes] = {
        "g": np.full(jf.size, 1.0 / g, dtype=np.complex128),
        "d": np.asarray(-2.0 * np.pi * jf / rate_hz, dtype=np.complex128),
        "s": np.asarray(-jf / high, dtype=np.complex128),
        "q": np.asarray(-1.0 / high, dtype=np.complex128),
        "u": np.asarray(-(np.sqrt(2.0) * jf + 2.0 * u * jf**2) / low, dtype=np.complex128),
    }
    columns = np.stack([model * ratios[name] for name in names], axis=1) / response.sd[:, None]
    left = (response.h - model) / response.sd
    return np.concatenate([left.real, left.imag]), np.concatenate([columns.real, columns.imag])
