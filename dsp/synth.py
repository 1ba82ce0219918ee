"""The demo song: nine stems of a small pop tune, synthesised from a seed.

96 beats a minute, four beats to the bar, A minor: two bars of introduction, three of verse, three of chorus, over and
over. Pitched sounds are read from band-limited wave tables, noise is shaped in the frequency domain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError

__all__ = ["demo_song"]

F64 = NDArray[np.float64]

_BEAT_S = 60.0 / 96.0
_BAR_S = 4.0 * _BEAT_S
_TABLE = 4096

_CHORDS = ((57, 60, 64, 67), (53, 57, 60, 64), (55, 60, 64, 67), (55, 59, 62, 69))
"""One chord a bar, MIDI notes: Am7, Fmaj7, C/G, G add 9."""

_ROOTS = (33, 29, 36, 31)

_MELODY = (
    ((0.0, 1.5, 76), (1.5, 0.5, 74), (2.0, 2.0, 72)),
    ((0.0, 1.0, 69), (1.0, 1.0, 72), (2.0, 1.75, 69)),
    ((0.0, 1.5, 67), (1.5, 0.5, 72), (2.0, 2.0, 76)),
    ((0.0, 1.0, 74), (1.0, 0.5, 72), (1.5, 0.5, 71), (2.0, 1.75, 74)),
)
"""Lead, one bar a chord: (beat, length in beats, MIDI note)."""

_VOWELS = {
    "a": ((730.0, 1090.0, 2440.0), (1.0, 0.50, 0.10)),
    "e": ((530.0, 1840.0, 2480.0), (1.0, 0.25, 0.15)),
    "o": ((570.0, 840.0, 2410.0), (1.0, 0.45, 0.04)),
    "u": ((300.0, 870.0, 2240.0), (1.0, 0.20, 0.02)),
}
"""Formants in Hz (G. E. Peterson and H. L. Barney, JASA 24, 1952, averages of men) and our amplitudes for them."""

_PEAK_DBFS = {
    "kick": -8.0,
    "snare": -9.0,
    "hats": -16.0,
    "percussion": -16.0,
    "bass": -9.0,
    "chords": -13.0,
    "keys": -12.0,
    "lead": -9.0,
    "backing": -13.0,
}


def _hz(note: float) -> float:
    """Frequency of a MIDI note number; A4 = 69 = 440 Hz."""
    return 440.0 * math.exp2((note - 69.0) / 12.0)


def _cycle(amplitudes: F64) -> F64:
    """Return one cycle of the harmonics 1, 2, … with these amplitudes, one guard sample at the end."""
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[1 : len(amplitudes) + 1] = -0.5j * _TABLE * amplitudes
    cycle = np.fft.irfft(spectrum, _TABLE)
    return np.append(cycle, cycle[0])


def _read(cycle: F64, phase: F64) -> F64:
    """Read a cycle at ``phase`` (in turns) with linear interpolation."""
    where = (phase % 1.0) * _TABLE
    index = where.astype(np.int64)
    return cycle[index] + (where - index) * (cycle[index + 1] - cycle[index])


class _Song:
    """The time line every instrument is written on."""

    def __init__(self, rate_hz: int, frames: int, seed: int) -> None:
        self.rate_hz = rate_hz
        self.frames = frames
        self.bars = math.ceil(frames / rate_hz / _BAR_S)
        self.rng = np.random.default_rng(seed)
        self.highest_hz = min(16_000.0, 0.42 * rate_hz)

    def time(self, seconds: float) -> F64:
        return np.arange(round(seconds * self.rate_hz)) / self.rate_hz

    def track(self, channels: int) -> F64:
        return np.zeros((self.frames, channels))

    def place(self, track: F64, at_s: float, sound: F64, gains: Sequence[float] = (1.0,)) -> None:
        """Add a mono ``sound`` at ``at_s`` with one gain for every channel; what lies past the end is left out."""
        start = round(at_s * self.rate_hz)
        n = min(len(sound), self.frames - start)
        if n > 0:
            track[start : start + n] += sound[:n, None] * np.asarray(gains)

    def noise(self, seconds: float, low_hz: float, high_hz: float) -> F64:
        """Return noise between two frequencies with soft edges, about 1.0 RMS."""
        n = round(seconds * self.rate_hz)
        f = np.fft.rfftfreq(n, 1.0 / self.rate_hz)
        high = min(high_hz, 0.8 * self.highest_hz)
        shape = 1.0 / np.sqrt((1.0 + (low_hz / np.maximum(f, 1.0)) ** 8) * (1.0 + (f / high) ** 16))
        shape *= 0.5 + 0.5 * np.cos(np.pi * np.clip((f - high) / (self.highest_hz - high), 0.0, 1.0))
        shape[0] = 0.0
        noise = np.fft.irfft(np.fft.rfft(self.rng.standard_normal(n)) * shape, n)
        return np.asarray(noise / np.sqrt(np.mean(noise**2)))

    def harmonics(self, freq_hz: float, most: int = 200) -> F64:
        """Return the numbers of the harmonics that lie below the highest frequency."""
        return np.arange(1, max(1, min(most, int(self.highest_hz / freq_hz))) + 1, dtype=np.float64)

    def section(self, bar: int) -> str:
        return ("intro", "intro", "verse", "verse", "verse", "chorus", "chorus", "chorus")[bar % 8]


def _ramp(t: F64, attack_s: float, length_s: float, release_s: float) -> F64:
    """Return a smooth gate: raised-cosine rise and fall, so that no note clicks."""
    rise = np.clip(t / attack_s, 0.0, 1.0)
    fall = np.clip((length_s + release_s - t) / release_s, 0.0, 1.0)
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * rise)) * (0.5 - 0.5 * np.cos(np.pi * fall)))


def _kick(song: _Song) -> F64:
    t = song.time(0.45)
    body = np.sin(2.0 * np.pi * (48.0 * t + 110.0 * 0.028 * (1.0 - np.exp(-t / 0.028)))) * np.exp(-t / 0.13)
    click = song.noise(0.45, 1500.0, 6000.0) * np.exp(-t / 0.004) * 0.12
    hit = (body + click) * _ramp(t, 0.0008, 0.35, 0.1)
    track = song.track(1)
    for bar in range(song.bars):
        beats = {"intro": (0.0,), "verse": (0.0, 2.0, 2.5), "chorus": (0.0, 1.5, 2.0, 3.5)}[song.section(bar)]
        for beat in beats:
            song.place(track, bar * _BAR_S + beat * _BEAT_S, hit, (1.0 if beat in (0.0, 2.0) else 0.75,))
    return track


def _snare(song: _Song) -> F64:
    t = song.time(0.35)
    tone = np.sin(2.0 * np.pi * 186.0 * t) + 0.6 * np.sin(2.0 * np.pi * 331.0 * t)
    track = song.track(1)
    for bar in range(song.bars):
        ghosts = ((2.75, 0.22),) if song.section(bar) == "chorus" else ()
        for beat, level in ((1.0, 0.9 if bar % 8 else 0.4), (3.0, 1.0), *ghosts):
            wires = song.noise(0.35, 1200.0, 11_000.0)
            hit = (0.7 * tone * np.exp(-t / 0.05) + 0.32 * wires * np.exp(-t / 0.085)) * _ramp(t, 0.0008, 0.25, 0.1)
            song.place(track, bar * _BAR_S + beat * _BEAT_S, hit, (level,))
    return track


def _hats(song: _Song) -> F64:
    track = song.track(2)
    t = song.time(0.3)
    sounds = [[song.noise(0.3, 6500.0, 16_000.0) for _ in range(2)] for _ in range(3)]
    for eighth in range(song.bars * 8):
        is_open = eighth % 8 == 7
        envelope = np.exp(-t / (0.11 if is_open else 0.028)) * _ramp(t, 0.0005, 0.2, 0.1)
        level = (1.0 if eighth % 2 == 0 else 0.6) * float(song.rng.uniform(0.85, 1.0))
        swing = 0.02 * _BEAT_S if eighth % 2 else 0.0
        same, left, right = (sounds[(eighth + k) % 3][k % 2] for k in range(3))
        at = eighth * _BEAT_S / 2.0 + swing
        song.place(track, at, same * envelope, (0.5 * level, 0.75 * level))
        song.place(track, at, left * envelope, (0.3 * level, 0.0))
        song.place(track, at, right * envelope, (0.0, 0.3 * level))
    return track


def _percussion(song: _Song) -> F64:
    track = song.track(1)
    t = song.time(0.25)
    shake = song.noise(0.25, 3500.0, 12_000.0) * _ramp(t, 0.02, 0.03, 0.05)
    accents = (0.9, 0.35, 0.6, 0.4)
    for sixteenth in range(song.bars * 16):
        song.place(track, sixteenth * _BEAT_S / 4.0, shake, (0.22 * accents[sixteenth % 4],))
    for bar in range(song.bars):
        for beat, freq_hz in ((0.75, 310.0), (1.75, 310.0), (2.5, 232.0), (3.25, 310.0), (3.5, 232.0)):
            bend = freq_hz * (t + 0.12 * 0.02 * (1.0 - np.exp(-t / 0.02)))
            drum = np.sin(2.0 * np.pi * bend) * np.exp(-t / 0.07) * _ramp(t, 0.001, 0.15, 0.1)
            song.place(track, bar * _BAR_S + beat * _BEAT_S, drum, (1.0,))
    return track


def _bass(song: _Song) -> F64:
    track = song.track(1)
    for bar in range(song.bars):
        pattern: tuple[tuple[float, float, int], ...]
        if song.section(bar) == "intro":
            pattern = ((0.0, 3.5, 0),)
        else:
            pattern = ((0.0, 0.9, 0), (1.0, 0.4, 0), (1.5, 0.4, 12), (2.0, 0.9, 0), (3.0, 0.4, 7), (3.5, 0.45, 12))
        for beat, length, step in pattern:
            freq_hz = _hz(_ROOTS[bar % 4] + step)
            k = song.harmonics(freq_hz, 24)
            t = song.time(length * _BEAT_S + 0.08)
            dull, bright = _cycle(np.exp(-(k - 1.0) * 0.9)), _cycle(k**-1.1)
            phase = freq_hz * t
            open_part = np.exp(-t / 0.18)
            note = _read(dull, phase) + 0.6 * open_part * _read(bright, phase)
            note *= np.exp(-t / 1.6) * _ramp(t, 0.004, length * _BEAT_S, 0.07)
            song.place(track, bar * _BAR_S + beat * _BEAT_S, note)
    return track


def _chords(song: _Song) -> F64:
    track = song.track(2)
    for bar in range(song.bars):
        t = song.time(_BAR_S + 0.4)
        envelope = _ramp(t, 0.25, _BAR_S, 0.4) * (0.8 if song.section(bar) == "verse" else 1.0)
        for i, note in enumerate(_CHORDS[bar % 4]):
            k = song.harmonics(_hz(note), 40)
            cycle = _cycle(k**-1.0 * np.exp(-_hz(note) * k / 1800.0))
            for side, cents in ((0, -6.0), (1, 6.0)):
                wobble = 0.0008 * np.sin(2.0 * np.pi * (0.31 + 0.07 * i + 0.05 * side) * (t + bar * _BAR_S))
                sound = _read(cycle, _hz(note + cents / 100.0) * t + wobble * 40.0 + 0.37 * (2 * i + side))
                gains = (1.0, 0.35) if side == 0 else (0.35, 1.0)
                song.place(track, bar * _BAR_S, sound * envelope, gains)
    return track


def _keys(song: _Song) -> F64:
    track = song.track(1)
    order = (0, 2, 1, 3, 2, 1, 3, 2)
    for bar in range(song.bars):
        for eighth in range(8):
            freq_hz = _hz(_CHORDS[bar % 4][order[eighth]] + 12)
            t = song.time(0.9)
            index = 1.3 * np.exp(-t / 0.25)
            body = np.sin(2.0 * np.pi * freq_hz * t + index * np.sin(2.0 * np.pi * freq_hz * t))
            tine = 0.08 * np.exp(-t / 0.05) * np.sin(2.0 * np.pi * min(9.0 * freq_hz, song.highest_hz) * t)
            note = (body + tine) * np.exp(-t / 0.45) * _ramp(t, 0.003, 0.7, 0.2)
            level = (0.9 if eighth % 2 == 0 else 0.65) * float(song.rng.uniform(0.9, 1.0))
            song.place(track, bar * _BAR_S + eighth * _BEAT_S / 2.0, note, (level,))
    return track


def _vowel_cycle(song: _Song, freq_hz: float, vowel: str) -> F64:
    """Return a cycle whose harmonics fall like a voice's source and rise at the vowel's formants."""
    k = song.harmonics(freq_hz, 60)
    f = k * freq_hz
    envelope = np.full(len(k), 0.01)
    for centre, amplitude in zip(*_VOWELS[vowel], strict=True):
        envelope += amplitude / (1.0 + ((f - centre) / (60.0 + 0.06 * centre)) ** 2)
    return _cycle(envelope * k**-0.4 * np.exp(-f / 5000.0))


def _sing(song: _Song, note: float, seconds: float, vowels: tuple[str, str], *, vibrato_hz: float) -> F64:
    """Return one sung note: from one vowel to another, a scoop into the pitch, then vibrato, a little breath."""
    t = song.time(seconds + 0.12)
    freq_hz = _hz(note)
    late = np.clip((t - 0.25) / 0.4, 0.0, 1.0)
    cents = -60.0 * np.exp(-t / 0.04) + 28.0 * late * np.sin(2.0 * np.pi * vibrato_hz * t)
    phase = np.cumsum(freq_hz * 2.0 ** (cents / 1200.0)) / song.rate_hz
    turn = np.clip(t / max(seconds, 0.2), 0.0, 1.0)
    first, second = (_vowel_cycle(song, freq_hz, v) for v in vowels)
    tone = (1.0 - turn) * _read(first, phase) + turn * _read(second, phase)
    tone /= np.max(np.abs(tone))
    breath = song.noise(len(t) / song.rate_hz, 2500.0, 9000.0)[: len(t)] * 0.012
    return np.asarray((tone + breath) * _ramp(t, 0.045, seconds, 0.11) * (0.85 + 0.15 * np.exp(-t / 0.3)))


def _lead(song: _Song) -> F64:
    track = song.track(1)
    pairs = (("o", "a"), ("a", "e"), ("e", "o"), ("u", "a"))
    for bar in range(song.bars):
        if bar % 8 == 0:
            continue
        for i, (beat, length, note) in enumerate(_MELODY[bar % 4]):
            lower = 12 if song.section(bar) != "chorus" else 0
            sound = _sing(song, note - lower, length * _BEAT_S * 0.94, pairs[(bar + i) % 4], vibrato_hz=5.4)
            song.place(track, bar * _BAR_S + beat * _BEAT_S, sound, (0.8 if lower else 1.0,))
    return track


def _backing(song: _Song) -> F64:
    track = song.track(2)
    places = ((0.95, 0.25), (0.25, 0.95), (0.6, 0.6))
    for bar in range(song.bars):
        if song.section(bar) == "verse" and bar % 8 != 4:
            continue
        for part, gains in enumerate(places):
            note = _CHORDS[bar % 4][part + 1] + (0.05, -0.06, 0.02)[part]
            vowels = ("u", "o") if song.section(bar) != "chorus" else ("o", "a")
            sound = _sing(song, note, _BAR_S * 0.92, vowels, vibrato_hz=4.9 + 0.3 * part)
            song.place(track, bar * _BAR_S + 0.012 * part, sound, gains)
    return track


_INSTRUMENTS = {
    "kick": _kick,
    "snare": _snare,
    "hats": _hats,
    "percussion": _percussion,
    "bass": _bass,
    "chords": _chords,
    "keys": _keys,
    "lead": _lead,
    "backing": _backing,
}


def demo_song(rate_hz: int = 48_000, seconds: float = 20.0, *, seed: int = 96) -> dict[str, NDArray[np.float32]]:
    """Return the demo song's stems by name: float32 (n, 1) or (n, 2), all of one length.

    Six mono stems (kick, snare, percussion, bass, keys, lead) and three stereo (hats, chords, backing), peaks between
    −16 and −8 dBFS, practically nothing above 0.42 of the rate, the same samples for the same ``seed``. Raises DspError
    for a rate below 8 kHz or above 384 kHz, or a length that is not above 0 and at most an hour.
    """
    if not 8000 <= rate_hz <= 384_000:
        raise DspError(f"the demo song cannot be made at {rate_hz} Hz", hint="use 8000..384000 Hz")
    if not 0.0 < seconds <= 3600.0:
        raise DspError(f"the demo song cannot be {seconds:g} s long", hint="use a length above 0 and at most 3600 s")
    frames = max(1, round(seconds * rate_hz))
    fade = np.ones(frames)
    n = min(frames, round(0.05 * rate_hz))
    fade[frames - n :] = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, n + 1) / n)
    stems = {}
    for i, (name, instrument) in enumerate(_INSTRUMENTS.items()):
        track = instrument(_Song(rate_hz, frames, seed * 100 + i)) * fade[:, None]
        peak = float(np.max(np.abs(track)))
        if peak > 0.0:
            track *= 10.0 ** (_PEAK_DBFS[name] / 20.0) / peak
        stems[name] = np.ascontiguousarray(track, dtype=np.float32)
    return stems
