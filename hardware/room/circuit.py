"""The room's analog circuit: what the panels say becomes filters and gains, and audio passes through them.

Signal path: D/A → wiring → strip (trim, polarity, high-pass, EQ, strip noise, mute, fader) → pan pots, with a leak
into the neighbours' → sum, bus noise, hum, saturation → insert through matrix and compressor → master fader → delay →
couplings → A/D noise → A/D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware.room import filters, kernels, kernels_bus, laws
from hardware.room.decoder_comp import CompDecoder
from hardware.room.decoder_desk import MASTER, STRIPS, DeskDecoder, StripPanel
from hardware.room.decoder_matrix import VOLUME_MAX, MatrixDecoder
from hardware.room.faults import Fault
from hardware.room.model import ConverterModel, RoomModel

TAPS = 128
KAISER_BETA = 10.0
TAIL_S = 0.25
"""How long a filter that was switched out keeps running as a wire, so that its ringing ends unheard [s]."""
_DC_BLOCK_HZ = 2.0
_HUM_HARMONICS = ((1, 1.0), (2, 0.5), (3, 0.35), (5, 0.15), (7, 0.08))
_HUM_TABLE = 8192
_FULL_SCALE_SINE_RMS = math.sqrt(0.5)
_BUS_KEY, _AD_KEY = STRIPS, STRIPS + 4


@dataclass(frozen=True)
class Tally:
    """What the model itself put into the returns: mean square per output (shape (2,), full scale 1.0) over ``frames``.

    ``noise`` is that of strips, sums, compressor and A/Ds; ``crosstalk`` the leaked signals alone; ``saturation`` the
    difference between the bent and the straight sum. ``clipped`` counts samples beyond full scale at D/As and A/Ds.
    """

    frames: int
    noise: NDArray[np.float64]
    hum: NDArray[np.float64]
    crosstalk: NDArray[np.float64]
    saturation: NDArray[np.float64]
    clipped: int

    def dbfs(self, part: str) -> tuple[float, float]:
        """Level of one part, ``"noise"`` to ``"saturation"`` or ``"all"``, per output [dBFS re a full-scale sine]."""
        names = ("noise", "hum", "crosstalk", "saturation") if part == "all" else (part,)
        power = sum((getattr(self, name) for name in names), np.zeros(2))
        levels = [10 * math.log10(2 * value) if value > 0 else -math.inf for value in power]
        return levels[0], levels[1]


def noise_rms(level_dbfs: float) -> float:
    """Rms (full scale 1.0) of a level in dBFS re the rms of a full-scale sine (AES17-2020)."""
    return _FULL_SCALE_SINE_RMS * laws.linear(level_dbfs)


def fractional_delay(samples: float) -> tuple[NDArray[np.float64], int]:
    """Design a delay of ``samples``: the taps of a Kaiser-windowed sinc, and the whole samples before them."""
    if samples == math.floor(samples):
        return np.ones(1), int(samples)
    whole = math.floor(samples) - (TAPS // 2 - 1)
    distance = np.arange(TAPS) - (samples - whole)
    inside = np.sqrt(np.maximum(0.0, 1.0 - (distance / (TAPS / 2)) ** 2))
    taps = np.sinc(distance) * np.i0(KAISER_BETA * inside)
    return taps / taps.sum(), whole


class _DelayLine:
    def __init__(self, samples: float) -> None:
        self._taps, whole = fractional_delay(samples)
        self._past = np.zeros(whole + len(self._taps) - 1)

    def process(self, x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        work = np.concatenate((self._past, x))
        kernels_bus.delay(work, self._taps, out)
        self._past = work[len(x) :].copy()


def _uniform(seed: int, stream: int) -> float:
    """Draw a number in −1…1 that belongs to (seed, stream): one SplitMix64 output (Steele, Lea & Flood 2014)."""
    return 2.0 * (_hashed(seed, stream) / 2**64) - 1.0


def _hashed(seed: int, stream: int) -> int:
    mask = 2**64 - 1
    state = (seed * 0x9E3779B97F4A7C15 + (stream + 1) * 0xD1B54A32D192ED03) & mask
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = ((state ^ (state >> shift)) * factor) & mask
    return state ^ (state >> 31)


class Circuit:
    """Audio state of the room; float64 inside, the same samples for any block sizes.

    ``read_panels`` may be called from another thread than ``process``: it prepares new settings and hands them over
    whole; ``process`` glides to them from its next sample on.
    """

    def __init__(self, model: RoomModel, *, rate_hz: int, tally: bool = False) -> None:
        self._model = model
        self._rate_hz = rate_hz
        self._tallying = tally
        self._glide = max(1, round(model.desk.glide_ms * 1e-3 * rate_hz))
        self._tail = round(TAIL_S * rate_hz)
        self._set_constants()
        self._new_c = np.zeros((STRIPS, kernels.SECTIONS, 5))
        self._new_c[:, :, 0] = 1.0
        self._idle = np.ones((STRIPS, kernels.SECTIONS), dtype=np.bool_)
        self._new_g = np.zeros((STRIPS, 6))
        self._new_m = np.zeros(20)
        self._comp = np.zeros(4)
        self._pending: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] = (
            self._new_c.copy(), self._new_g.copy(), self._new_m.copy(), self._comp.copy(),
        )  # fmt: skip
        self._taken = self._pending
        self._old_c, self._old_g, self._old_m = self._new_c.copy(), self._new_g.copy(), self._new_m.copy()
        self._progress = np.full(STRIPS, self._glide + self._tail, dtype=np.int64)
        self._master_progress = np.full(1, self._glide, dtype=np.int64)
        self.position = 0
        self._strikes: list[tuple[int, int, float]] = []
        self._fresh = True
        self._forget()
        self._totals: NDArray[np.float64] = np.zeros((4, 2))
        self._frames: int = 0
        self._clipped: int = 0

    def _set_constants(self) -> None:
        model, rate_hz = self._model, self._rate_hz
        desk = model.desk
        self._keys = np.array([_hashed(model.seed, stream) for stream in range(STRIPS + 6)], dtype=np.uint64)
        self._strip_noise = noise_rms(desk.channel_noise_dbfs)
        self._bus_noise = noise_rms(desk.bus_noise_dbfs)
        self._comp_noise = noise_rms(model.comp.noise_dbfs)
        self._ad_noise = noise_rms(model.converters.ad_noise_dbfs)
        full_scale_dbu = model.converters.dbu_at_0dbfs
        peak = laws.linear(desk.saturation_at_dbu - full_scale_dbu)
        self._a2 = 2.0 * laws.linear(desk.h2_db) / peak
        self._a3 = -4.0 * laws.linear(desk.h3_db) / (peak * peak)
        self._rail = laws.linear(desk.rail_dbu - full_scale_dbu)
        self._leak = 1.0 - math.exp(-2 * math.pi * _DC_BLOCK_HZ / rate_hz)
        cycle = np.arange(_HUM_TABLE + 1) / _HUM_TABLE
        hum = np.zeros(_HUM_TABLE + 1)
        for harmonic, level in _HUM_HARMONICS:
            hum += level * np.sin(2 * math.pi * (harmonic * cycle + _uniform(model.seed, 900 + harmonic)))
        self._hum_table = hum / math.sqrt(float(np.mean(hum[:-1] ** 2)))
        self._hum_rms = noise_rms(desk.hum_dbfs)
        self._hum_cycles = desk.mains_hz / rate_hz
        self._wiring = np.stack([np.arange(STRIPS), np.full(STRIPS, kernels.NOTHING)], axis=1)
        self._error_db = [desk.gain_spread_db * _uniform(model.seed, 1000 + strip) for strip in range(STRIPS)]
        self._fault_gain = [1.0] * STRIPS
        for fault in model.faults:
            strips = [channel - 1 for channel in fault.channels]
            if fault.kind == "swapped":
                self._wiring[strips] = self._wiring[strips[::-1]]
            elif fault.kind == "split":  # the first output feeds both strips, the second none
                self._wiring[strips[1]] = self._wiring[strips[0]]
            elif fault.kind in ("summed", "shorted"):
                self._wiring[strips[0], 1] = self._wiring[strips[1], 0]
                self._wiring[strips[1]] = self._wiring[strips[0]] if fault.kind == "shorted" else kernels.NOTHING
            elif fault.kind == "fader_off":
                self._error_db[strips[0]] += fault.db
            elif fault.kind in ("dead", "inverted"):
                self._fault_gain[strips[0]] *= 0.0 if fault.kind == "dead" else -1.0
        self._leak_gain = laws.linear(desk.crosstalk_db)

    @property
    def strip_errors_db(self) -> tuple[float, ...]:
        """How far each strip's gain is off its scale [dB]: its share of the spread, and a fader fault."""
        return tuple(self._error_db)

    def strike_later(self, fault: Fault) -> None:
        """Pull a cable (gain 0) or let a strip's gain jump, ``seconds`` of audio from now on."""
        gain = 0.0 if fault.kind == "pulled" else laws.linear(fault.db)
        self._strikes.append((self.position + round(fault.seconds * self._rate_hz), fault.channels[0] - 1, gain))

    def heal(self) -> None:
        """Plug pulled cables in again, and let gains jump back."""
        self._strikes.clear()

    def _forget(self) -> None:
        """Empty every filter, delay line and envelope."""
        self._history = np.zeros((STRIPS, kernels.SECTIONS + 1, 2))
        self._blocked = np.zeros(2)
        self._envelope = np.zeros(1)
        self._loop = np.zeros((5, 2))
        self._coupled = np.zeros((len(self._model.converters.coupling_hz), 2, 2))
        converters: ConverterModel = self._model.converters
        skews = converters.skew_samples + (0.0,) * (STRIPS - len(converters.skew_samples))
        skewed = any(skews)
        self._before = [_DelayLine(converters.latency_samples + skew) for skew in skews] if skewed else []
        self._after = [] if skewed else [_DelayLine(converters.latency_samples) for _ in range(2)]

    def read_panels(self, desk: DeskDecoder, comp: CompDecoder, matrix: MatrixDecoder) -> None:
        """Take over what moved on the panels since the last call."""
        touched, desk.touched = desk.touched, set()
        outboard = comp.touched or matrix.touched
        comp.touched = matrix.touched = False
        if not touched and not outboard:
            return
        coefficients, gains, globals_, comp_settings = (array.copy() for array in self._pending)
        for strip in touched - {MASTER}:
            coefficients[strip] = self._sections(desk.strips[strip], strip)
            for near in range(max(0, strip - 1), min(STRIPS, strip + 2)):
                gains[near] = self._strip_gains(desk, near)
        if outboard or MASTER in touched:
            globals_, comp_settings = self._master_settings(desk, comp, matrix)
        self._pending = (coefficients, gains, globals_, comp_settings)

    def _sections(self, panel: StripPanel, strip: int) -> NDArray[np.float64]:
        sections = np.tile(np.array(filters.IDENTITY), (kernels.SECTIONS, 1))
        tolerance = self._model.desk.eq_tolerance_percent / 100.0
        off = [1.0 + tolerance * _uniform(self._model.seed, 2000 + 8 * strip + section) for section in range(5)]
        rate_hz = float(self._rate_hz)
        if panel.hpf_hz is not None:
            sections[0] = filters.high_pass(panel.hpf_hz * off[0], rate_hz)
        if panel.eq_in:
            freqs = [freq_hz * error for freq_hz, error in zip(panel.eq_freq_hz, off[1:], strict=True)]
            gains = [laws.eq_gain_db(step) for step in panel.eq_gain]
            sections[1] = filters.shelf(freqs[0], gains[0], rate_hz, high=False)
            sections[2] = filters.bell(freqs[1], gains[1], panel.eq_q[0], rate_hz)
            sections[3] = filters.bell(freqs[2], gains[2], panel.eq_q[1], rate_hz)
            sections[4] = filters.shelf(freqs[3], gains[3], rate_hz, high=True)
        return sections

    def _strip_gains(self, desk: DeskDecoder, strip: int) -> NDArray[np.float64]:
        panel = desk.strips[strip]
        level = 0.0 if panel.mute else laws.linear(laws.fader_db(panel.fader))
        left, right = laws.pan_gains(laws.pan_position(panel.pan))
        own = level * laws.linear(panel.trim_db + self._error_db[strip]) * self._fault_gain[strip]
        own = -own if panel.polarity else own
        near = [desk.strips[other].pan for other in (strip - 1, strip + 1) if 0 <= other < STRIPS]
        leaks = [laws.pan_gains(laws.pan_position(pan)) for pan in near]
        leak_left, leak_right = (self._leak_gain * sum(leak[side] for leak in leaks) for side in range(2))
        return np.array([own * left, own * right, own * leak_left, own * leak_right, level * left, level * right])

    def _master_settings(
        self, desk: DeskDecoder, comp: CompDecoder, matrix: MatrixDecoder
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        panel = matrix.panel
        settings = np.zeros(20)
        for output in range(4):
            source = panel.ties[output]
            volume = panel.volume[output]
            if 1 <= source <= 4 and volume > 0 and not panel.mute[output]:
                settings[4 * output + source - 1] = laws.linear(panel.gain_db[source - 1] + volume - VOLUME_MAX)
        settings[16] = float(desk.insert)
        settings[17] = laws.linear(laws.fader_db(desk.master_fader))
        settings[18] = float(not comp.bypass)
        settings[19] = laws.comp_makeup_db(comp.makeup) + self._model.comp.makeup_error_db
        threshold_dbu = laws.comp_threshold_dbu(comp.threshold) + self._model.comp.threshold_error_db
        attack_ms, release_ms = laws.COMP_ATTACKS_MS[comp.attack], laws.COMP_RELEASES_MS[comp.release]
        pulls = [math.exp(-1.0 / (time_ms * 1e-3 * self._rate_hz)) for time_ms in (attack_ms, release_ms)]
        slope = 1.0 - 1.0 / laws.COMP_RATIOS[comp.ratio]
        return settings, np.array([threshold_dbu - self._model.converters.dbu_at_0dbfs, slope, *pulls])

    def _take_over(self, pending: tuple[NDArray[np.float64], ...]) -> None:
        """Start a glide from where each moved control is now to where it shall be."""
        coefficients, gains, globals_, self._comp = pending
        before_c, before_g, before_m, _ = self._taken
        moved = np.any(coefficients != before_c, axis=(1, 2)) | np.any(gains != before_g, axis=1)
        for strip in np.flatnonzero(moved):
            self._start_strip(int(strip), coefficients[strip], gains[strip])
        if np.any(globals_ != before_m):
            at = _progress_share(int(self._master_progress[0]), self._glide)
            self._old_m = self._old_m + at * (self._new_m - self._old_m) if at < 1.0 else self._new_m.copy()
            self._new_m = globals_.copy()
            self._master_progress[0] = 0

    def _start_strip(self, strip: int, coefficients: NDArray[np.float64], gains: NDArray[np.float64]) -> None:
        at = _progress_share(int(self._progress[strip]), self._glide)
        settled = self._progress[strip] >= self._glide + self._tail
        for old, new in ((self._old_c[strip], self._new_c[strip]), (self._old_g[strip], self._new_g[strip])):
            old[:] = new if at >= 1.0 else old + at * (new - old)
        for section in range(kernels.SECTIONS):
            target = coefficients[section].copy()
            becomes_wire = bool(np.array_equal(target, filters.IDENTITY))
            was_wire = bool(self._idle[strip, section]) and bool(settled)
            if becomes_wire and was_wire:
                self._old_c[strip, section] = filters.IDENTITY
            elif becomes_wire:
                a1, a2 = self._old_c[strip, section, 3:]
                target[:] = (1.0, a1, a2, a1, a2)
            elif was_wire:
                a1, a2 = target[3:]
                self._old_c[strip, section] = (1.0, a1, a2, a1, a2)
            self._idle[strip, section] = becomes_wire
            self._new_c[strip, section] = target
        self._new_g[strip] = gains
        self._progress[strip] = 0

    def _settle(self) -> None:
        """Let every knob reach its place at once."""
        pending = self._pending
        self._new_c, self._new_g, self._new_m, self._comp = (array.copy() for array in pending)
        self._old_c, self._old_g, self._old_m = self._new_c.copy(), self._new_g.copy(), self._new_m.copy()
        self._idle = np.all(self._new_c == np.array(filters.IDENTITY), axis=2)
        self._taken = pending
        self._progress[:] = self._glide + self._tail
        self._master_progress[0] = self._glide
        self._fresh = False

    def rest(self) -> None:
        """Let a long silence pass: knobs reach their places, filters, delays and compressor forget the music."""
        self._settle()
        self._forget()
        kept = self._totals, self._frames, self._clipped
        self._totals = np.zeros((4, 2))
        converters = self._model.converters
        silence = math.ceil(converters.latency_samples + max(converters.skew_samples, default=0.0)) + TAPS
        self.process(np.zeros((silence, STRIPS), dtype=np.float32))
        self._totals, self._frames, self._clipped = kept

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pass a block (n, 24) float32 through the room; returns (n, 2) float32, full scale 1.0."""
        frames = block.shape[0]
        pending = self._pending
        if self._fresh:
            self._settle()
        elif pending is not self._taken:
            self._take_over(pending)
            self._taken = pending
        out = np.empty((frames, 2), dtype=np.float32)
        if frames == 0:
            return out
        planar = np.empty((STRIPS, frames))
        sums, parts, bus = np.empty((6, frames)), np.empty((8, frames)), np.empty((2, frames))
        self._clipped += kernels.take_in(np.ascontiguousarray(block), self._wiring, planar)
        for at, strip, gain in self._strikes:
            planar[strip, max(0, at - self.position) :] *= gain
        for strip, line in enumerate(self._before):
            line.process(planar[strip], planar[strip])
        noise, words = np.empty(frames), np.empty(frames, dtype=np.uint64)
        kernels.strips(
            planar, self.position, self._old_c, self._new_c, self._idle, self._old_g, self._new_g, self._progress,
            self._glide, self._tail, self._history, self._keys, self._strip_noise, noise, words,
            np.empty((kernels.SECTIONS + 1, 2)), sums,
        )  # fmt: skip
        kernels_bus.saturate(
            sums, self._hiss(_BUS_KEY, self._bus_noise, words), self.position, self._hum_table, self._hum_rms,
            self._hum_cycles, self._a2, self._a3, self._rail, self._leak, self._blocked, parts, bus,
        )  # fmt: skip
        kernels_bus.master(
            bus, parts, self._hiss(_BUS_KEY + 2, self._comp_noise, words), self._old_m, self._new_m,
            np.empty_like(self._new_m), self._master_progress, self._glide, self._comp, self._envelope, self._loop,
            self._tallying, self._totals,
        )  # fmt: skip
        for side, line in enumerate(self._after):
            line.process(bus[side], bus[side])
        for corner_hz, state in zip(self._model.converters.coupling_hz, self._coupled, strict=True):
            kernels_bus.couple(bus, math.tan(math.pi * corner_hz / self._rate_hz), state)
        self._clipped += kernels_bus.give_out(bus, self._hiss(_AD_KEY, self._ad_noise, words), self._totals, out)
        self.position += frames
        self._frames += frames
        return out

    def _hiss(self, key: int, rms: float, words: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the noise of both sides (2, n) of the block that begins at ``position``."""
        hiss = np.zeros((2, len(words)))
        if rms > 0.0:
            for side in range(2):
                kernels.normals(self._keys[key + side], self.position, rms, words, hiss[side], 0, len(words))
        return hiss

    def reset_tally(self) -> None:
        """Begin the tally anew."""
        self._totals = np.zeros((4, 2))
        self._frames = 0
        self._clipped = 0

    def tally(self) -> Tally:
        """Sum up what the model put in since the tally began."""
        noise, hum, crosstalk, saturation = self._totals / max(1, self._frames)
        return Tally(self._frames, noise, hum, crosstalk, saturation, self._clipped)


def _progress_share(progress: int, glide: int) -> float:
    """Where a glide stands (the kernels' smoothstep), 1 when it is over."""
    if progress >= glide:
        return 1.0
    t = progress / glide
    return t * t * (3.0 - 2.0 * t)
