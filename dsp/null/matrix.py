"""What the channels of a recording took from each other: swapped, turned, widened, leaked.

After the linear match of each channel with its own reference, ``b_i = Σ_j G_ij·m_j``. First the real gains ``G``, all
inputs of an output in one least-squares system; then, where that gains, a short filter from every other channel in
place of its gain. Each output's own filter of the same length is fitted along, so that what the match had to leave
because two channels resemble each other is not taken for leakage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsp.measure.figure import Figure, unseen
from dsp.null.normal import Normal, ridge_solve
from dsp.null.stretch import Complex, Floats, Stretch, channels_of, halves, shaped

HALF = 16  # of the filters, 33 taps
MOST_COLUMNS = 128  # of all channels: with many of them the filters get shorter
LEAST_GAIN_DB = 0.1
LEAST_SIGMAS = 5.0
ALIKE = 1e-8  # power of what is only in one channel, re the whole: below, the channels cannot be told apart
RIDGE = 1e-10


@dataclass(frozen=True, eq=False)
class Matrix:
    """Gains and short filters from every channel to every channel; ``apply`` replaces the match's output."""

    gains: Floats
    """(channels out, channels in), real."""
    gain_sds: Floats
    taps: Floats
    """(channels out, channels in, 33), middle tap at no delay; the gains alone where filters did not pay."""
    filtered: bool
    """Whether the filters are more than the gains."""
    order: tuple[int, ...]
    """For each output the channel it mostly comes from."""
    swapped: bool
    """Two channels have changed places."""
    polarity: tuple[int, ...]
    """Of each output re the channel it comes from."""
    rotation_deg: Figure
    """Turn of the stereo image, positive from left to right."""
    width_db: Figure
    """Gain of the side signal over that of the middle."""
    crosstalk_db: tuple[tuple[Figure, ...], ...]
    """``crosstalk_db[out][in]``: leakage re the output's own channel, RMS over the programme's spectrum."""
    gained_db: float
    """What it takes off the residual where it was not fitted."""
    kept: bool
    why: str

    @property
    def margin_frames(self) -> int:
        """Frames at either end of a block that are not complete."""
        return int(self.taps.shape[2]) // 2

    @property
    def margins(self) -> tuple[int, int]:
        """Frames before and after a block that must be seen."""
        return self.margin_frames, self.margin_frames

    def apply(self, matched: Floats) -> Floats:
        """Return (channels, frames) through the matrix."""
        half = self.margin_frames
        out = np.zeros_like(matched)
        for column in range(matched.shape[0]):
            out += shaped(
                np.repeat(matched[column : column + 1], matched.shape[0], axis=0),
                lambda length, column=column: _curve(self.taps[:, column], length),  # type: ignore[misc]
                before=half,
                after=half,
            )
        return out


def fit_matrix(stretches: Sequence[Stretch]) -> Matrix:
    """Fit what the channels took from each other.

    Parameters
    ----------
    stretches
        ``y`` is the matched reference, (channels, frames). To find swapped channels in recordings not matched yet, the
        aligned reference will do; the crosstalk then holds what an equaliser does to channels that resemble each other.

    Raises
    ------
    DspError
        No stretch, or one that holds NaN.
    """
    count = channels_of(stretches)
    half = min(HALF, MOST_COLUMNS // (2 * count), *(min(s.start, s.y.shape[1] - s.stop) for s in stretches))
    fitted, judged = ([_system(side, output, half) for output in range(count)] for side in _sides(stretches))
    wholes = [one + other for one, other in zip(fitted, judged, strict=True)]
    middle = np.arange(count) * (2 * half + 1) + half
    gains, sds = np.zeros((count, count)), np.full((count, count), np.nan)
    alone = False
    for output, whole in enumerate(wholes):
        only = whole.only(middle)
        gains[output], sds[output] = _solved(only)
        alone = alone or _alike(only.matrix)
    order = tuple(int(np.argmax(np.abs(row))) for row in gains)
    own = [np.array([middle[source]]) for source in order]
    before = _judged(fitted, judged, own)
    real = _judged(fitted, judged, [middle] * count)
    free = _judged(fitted, judged, [np.arange(count * (2 * half + 1))] * count)
    short = _judged(fitted, judged, [o[0] + np.arange(-half, half + 1) for o in own])
    filtered = _decibels(short, free) >= LEAST_GAIN_DB and _decibels(real, free) >= LEAST_GAIN_DB
    taps = np.zeros((count, count, 2 * half + 1))
    taps[:, :, half] = gains
    if filtered:
        for output, whole in enumerate(wholes):
            taps[output] = whole.solve(RIDGE).reshape(count, -1)
    reached = free if filtered else real
    gained_db = _decibels(short if filtered else before, reached)
    others = [(o, i) for o in range(count) for i in range(count) if i != order[o]]
    sure = any(abs(gains[place]) > LEAST_SIGMAS * sds[place] for place in others if np.isfinite(sds[place]))
    moved = order != tuple(range(count))
    kept = not alone and (moved or ((sure or filtered) and gained_db >= LEAST_GAIN_DB))
    why = (
        "the channels of the reference are alike: what leaks cannot be told from what is there"
        if alone
        else f"{gained_db:.1f} dB where it was not fitted"
        if kept
        else "nothing from another channel takes 0.1 dB off the residual"
    )
    return Matrix(
        gains=gains,
        gain_sds=sds,
        taps=taps,
        filtered=filtered,
        order=order,
        swapped=moved and sorted(order) == list(range(count)),
        polarity=tuple(-1 if gains[output, source] < 0.0 else 1 for output, source in enumerate(order)),
        rotation_deg=_rotation(gains, sds, alone=alone),
        width_db=_width(gains, sds, alone=alone),
        crosstalk_db=tuple(
            tuple(_leak(wholes[o], taps[o], sds[o], order[o], i, alone=alone) for i in range(count))
            for o in range(count)
        ),
        gained_db=gained_db,
        kept=kept,
        why=why,
    )


def _curve(taps: Floats, length: int) -> Complex:
    half = taps.shape[1] // 2
    spread = np.zeros((taps.shape[0], length))
    spread[:, : half + 1] = taps[:, half:]
    if half:
        spread[:, -half:] = taps[:, :half]
    return np.asarray(np.fft.rfft(spread, axis=1))


def _sides(stretches: Sequence[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    return halves(stretches)


def _system(stretches: Sequence[Stretch], output: int, half: int) -> Normal:
    """Return the system of every channel's taps for one output."""
    total: Normal | None = None
    for stretch in stretches:
        around = stretch.y[:, stretch.start - half : stretch.stop + half]
        frames = stretch.stop - stretch.start
        # tap k multiplies the sample k frames earlier, k from −half
        rows = np.stack([around[:, 2 * half - k : 2 * half - k + frames] for k in range(2 * half + 1)], axis=1)
        rows = rows.reshape(-1, frames)
        heard = stretch.b[output, stretch.start : stretch.stop]
        part = Normal(rows @ rows.T, rows @ heard, float(heard @ heard), frames)
        total = part if total is None else total + part
    assert total is not None  # noqa: S101 - halves of a stretch are never empty
    return total


def _solved(system: Normal) -> tuple[Floats, Floats]:
    """Return real gains and their standard deviations."""
    gains = system.solve(RIDGE)
    noise = system.left(gains) / system.frames
    sounding = np.diag(system.matrix) > 0.0
    sds = np.full(gains.size, np.nan)
    if np.any(sounding):
        inverse = np.linalg.pinv(system.matrix[np.ix_(sounding, sounding)], rcond=1e-12, hermitian=True)
        sds[sounding] = np.sqrt(np.maximum(noise * np.diag(inverse), 0.0))
    return gains, sds


def _alike(matrix: Floats) -> bool:
    """Whether some channel is a copy of the others."""
    power = np.diag(matrix)
    if np.any(power <= 0.0):
        return False
    scale = 1.0 / np.sqrt(power)
    return bool(matrix.shape[0] > 1 and np.linalg.eigvalsh(matrix * scale * scale[:, None])[0] < ALIKE)


def _judged(fitted: Sequence[Normal], judged: Sequence[Normal], kept: Sequence[Floats]) -> float:
    """Return the sum of squares left on each half by what was fitted to the other."""
    total = 0.0
    for one, other, columns in zip(fitted, judged, kept, strict=True):
        for learn, judge in ((one, other), (other, one)):
            total += judge.only(columns).left(ridge_solve(*_pair(learn.only(columns)), RIDGE))
    return total


def _pair(system: Normal) -> tuple[Floats, Floats]:
    return system.matrix, system.wanted


def _decibels(over: float, under: float) -> float:
    return 10.0 * float(np.log10(over / under)) if over > 0.0 and under > 0.0 else 0.0


def _leak(whole: Normal, taps: Floats, sds: Floats, source: int, other: int, *, alone: bool) -> Figure:
    """Return the level of what came from ``other``, as the programme drives it, re its level at unity."""
    if other == source:
        return unseen("it is the channel itself")
    if alone:
        return unseen("the channels of the reference are alike")
    if not np.isfinite(sds[other]):
        return unseen("a channel is silent")
    own = _level(whole, taps, source)
    level = _level(whole, taps, other) / own if own > 0.0 else 0.0
    if own == 0.0:
        return unseen("a channel is silent")
    spread = float(sds[other]) / own
    if level < 3.0 * spread or level == 0.0:
        return unseen(
            f"below {20.0 * np.log10(max(3.0 * spread, 1e-15)):.0f} dB, where it would be heard over the residual"
        )
    return Figure(20.0 * float(np.log10(level)), 8.685889638 * spread / level)


def _level(whole: Normal, taps: Floats, channel: int) -> float:
    """Return the RMS gain of a channel's taps over its own spectrum."""
    width = taps.shape[1]
    cut = slice(channel * width, (channel + 1) * width)
    block, row = whole.matrix[cut, cut], taps[channel]
    power = float(block[width // 2, width // 2])
    return float(np.sqrt(max(0.0, float(row @ block @ row)) / power)) if power > 0.0 else 0.0


def _rotation(gains: Floats, sds: Floats, *, alone: bool) -> Figure:
    """Return the angle of the rotation nearest to two gains by two (polar decomposition: tan φ = (c − b)/(a + d))."""
    if gains.shape != (2, 2):
        return unseen("only two channels can be turned")
    if alone or not np.all(np.isfinite(sds)):
        return unseen("the channels of the reference are alike, or one is silent")
    if np.linalg.det(gains) <= 0.0:
        return unseen("the image is mirrored")
    across, along = gains[1, 0] - gains[0, 1], gains[0, 0] + gains[1, 1]
    size = across**2 + along**2
    slope = np.array([[-across, -along], [along, -across]]) / size
    return Figure(float(np.degrees(np.arctan2(across, along))), float(np.degrees(np.sqrt(np.sum((slope * sds) ** 2)))))


def _width(gains: Floats, sds: Floats, *, alone: bool) -> Figure:
    """Return the gain from side to side over that from middle to middle."""
    if gains.shape != (2, 2):
        return unseen("only two channels have a width")
    if alone or not np.all(np.isfinite(sds)):
        return unseen("the channels of the reference are alike, or one is silent")
    middle, side = 0.5 * float(np.sum(gains)), 0.5 * float(gains[0, 0] - gains[0, 1] - gains[1, 0] + gains[1, 1])
    if middle == 0.0 or side == 0.0:
        return unseen("the middle or the side is gone")
    signs = np.array([[1.0, -1.0], [-1.0, 1.0]])
    slope = 0.5 * signs / side - 0.5 / middle
    sd = 8.685889638 * float(np.sqrt(np.sum((slope * sds) ** 2)))
    return Figure(20.0 * float(np.log10(abs(side / middle))), sd)
