"""Which stem's level moved between two mixes: the residual regressed on the stems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.measure.figure import Figure, unseen

Floats = NDArray[np.float64]

NEPERS = 8.685889638065036  # 20/ln 10: decibels per neper
SEGMENT_S = 0.25
FEWEST_SEGMENTS = 8
MOST_SEGMENTS = 4_096
SPANS = 16
GROUPS = 64
ALIKE = 0.9999  # correlation
UNSURE_DB = 0.5  # a stem known no better than this does not vote on the common gain
SIGNIFICANT = 4.0  # standard deviations
SMALLEST_DB = 0.005
MISSING = 0.05  # of its level: a stem at less than −26 dB of what it should be is missing
SILENT = 1e-7  # of the loudest stem's amplitude
WORST_INFLATION = 1e4  # variance inflation past which two stems are one
EMPHASIS = 0.9  # pre-emphasis: music falls by some 6 dB per octave, noise does not


@dataclass(frozen=True)
class StemMove:
    """What one stem did between A and B."""

    name: str
    gain_db: tuple[Figure, ...]
    """Change of its level per channel, the common gain taken off; two that differ tell of a moved pan pot."""
    level_db: Figure
    """The same for all channels together, by power."""
    moved: bool
    """By more than 4 standard deviations and 0.005 dB."""
    missing: bool
    """Less than 5 % of its amplitude is left."""
    inverted: bool
    note: str
    """In words: "vox is missing in B", "bass: +0.30 ± 0.01 dB", "keys has not moved (± 0.02 dB)"."""


@dataclass(frozen=True)
class StemMoves:
    """Every stem's move, in the order given."""

    moves: tuple[StemMove, ...]
    common_db: tuple[Figure, ...]
    """Gain per channel that the stems which stayed have in common re the model: its own leans towards what moved."""
    condition: float
    """Of the stems' normalised normal matrix, the worst channel's; 1 when they share nothing."""
    explained: Figure
    """Share of the residual's (pre-emphasised) power that the stems take away, 0 to 1."""
    alike: tuple[tuple[str, str], ...]
    """Pairs of stems that are too alike to be told apart."""


class StemRegression:
    """Sum up normal equations of residual on stems, span by span; spans need not follow on one another.

    The residual ``heard − model`` of each channel is fitted with that channel of every stem, so that a moved pan pot
    shows as two gains. Stems must stand where they stand in B, the gains of the mix (and of B over A) included.

    Parameters
    ----------
    names
        Of the stems.
    rate_hz
        Sample rate [Hz].
    channels
        Of the mix and of each stem.
    """

    def __init__(self, names: Sequence[str], *, rate_hz: int, channels: int) -> None:
        if not names:
            raise DspError("There are no stems to look for.", hint="Name at least one.")
        self.names, self.channels = tuple(names), channels
        self._segment = max(64, round(SEGMENT_S * rate_hz))
        count = len(self.names)
        self._gram: list[Floats] = []
        """Per segment: (channels, stems + 1, stems + 1), the residual last."""
        self._total = np.zeros((channels, count + 1, count + 1))

    def add(self, stems: Sequence[Floats], model: Floats, heard: Floats) -> None:
        """Add one span: every stem, the model and the recording, (channels, frames) each.

        Raises
        ------
        ShapeError
            Shapes or the number of stems differ.
        DspError
            Samples that are not numbers.
        """
        if len(stems) != len(self.names):
            raise ShapeError(f"{len(stems)} stems came where {len(self.names)} were named.", hint="Give every stem.")
        for name, x in zip((*self.names, "the model", "B"), (*stems, model, heard), strict=True):
            if x.shape != model.shape or x.ndim != 2 or x.shape[0] != self.channels:
                raise ShapeError(
                    f"{name} has shape {x.shape} where ({self.channels}, {model.shape[-1]}) was due.",
                    hint="Cut all stems to the span and the channels of the mix.",
                )
            if not np.all(np.isfinite(x)):
                raise DspError(f"{name} holds samples that are not numbers.", hint="Render it again.")
        rows = np.stack([*stems, heard - model], axis=1)
        rows = rows[:, :, 1:] - EMPHASIS * rows[:, :, :-1]
        for start in range(0, rows.shape[2] - self._segment // 2, self._segment):
            part = rows[:, :, start : start + self._segment]
            gram = part @ part.transpose(0, 2, 1)
            self._gram.append(gram)
            self._total += gram
            if len(self._gram) == MOST_SEGMENTS:
                self._gram = [a + b for a, b in zip(self._gram[::2], self._gram[1::2], strict=True)]

    def result(self) -> StemMoves:
        """Return the moves.

        A stem's gain is the least-squares factor plus one. Its spread is the jackknife's over a hundred or so groups of
        segments (Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, 1982): it holds for a residual that
        is not white and for moves that do not last all the time. Where two stems are too alike (variance inflation over
        10⁴) their gains are not observable.
        """
        groups = self._groups()
        per_channel = [self._channel(c, groups[:, c]) for c in range(self.channels)]
        changes = [[found[n] for found, _ in per_channel] for n in range(len(self.names))]
        powers = np.diagonal(self._total, axis1=1, axis2=2)[:, :-1].T
        common = tuple(_common([change[c] for change in changes]) for c in range(self.channels))
        moves = tuple(
            _move(name, [_re(f, base) for f, base in zip(change, common, strict=True)], power)
            for name, change, power in zip(self.names, changes, powers, strict=True)
        )
        condition = max(worst for _, worst in per_channel)
        return StemMoves(moves, common, condition, self._explained(changes), self._alike())

    def _explained(self, changes: list[list[Figure]]) -> Figure:
        before = after = 0.0
        for channel, total in enumerate(self._total):
            delta = np.array([c[channel].value if c[channel].observable else 0.0 for c in changes])
            before += total[-1, -1]
            after += total[-1, -1] - 2.0 * delta @ total[:-1, -1] + delta @ total[:-1, :-1] @ delta
        if before <= 0.0:
            return unseen("nothing is left")
        share = float(1.0 - after / before)
        return Figure(share, float(np.sqrt(2.0 * max(share * (1.0 - share), 0.0) / max(1, len(self._gram)))))

    def _alike(self) -> tuple[tuple[str, str], ...]:
        gram = self._total[:, :-1, :-1].sum(axis=0)
        scale = 1.0 / np.sqrt(np.maximum(np.diagonal(gram), 1e-300))
        near = np.abs(gram * scale[:, None] * scale) > ALIKE
        return tuple((self.names[i], self.names[j]) for i, j in np.argwhere(np.triu(near, 1)).tolist())

    def _groups(self) -> Floats:
        """Return sums over up to GROUPS groups of neighbouring segments, (groups, channels, stems + 1, stems + 1)."""
        if len(self._gram) < FEWEST_SEGMENTS:
            return np.zeros((0, *self._total.shape))
        parts = np.array_split(np.stack(self._gram), min(GROUPS, len(self._gram)))
        return np.stack([part.sum(axis=0) for part in parts])

    def _sounding(self, channel: int) -> NDArray[np.bool_]:
        power = np.diagonal(self._total[channel])[:-1]
        loudest = float(np.max(np.diagonal(self._total, axis1=1, axis2=2)[:, :-1], initial=0.0))
        sounding: NDArray[np.bool_] = power > SILENT**2 * loudest
        return sounding & (power > 0.0)

    def _channel(self, channel: int, groups: Floats) -> tuple[list[Figure], float]:
        """Return the change of amplitude per stem (0: none, −1: gone) and the condition of the stems that sound."""
        count = len(self.names)
        if groups.shape[0] == 0:
            return [unseen("fewer than 2 s of stems")] * count, float("nan")
        sounding = self._sounding(channel)
        used = np.flatnonzero(sounding)
        out = [unseen("the stem is silent in this channel") for _ in range(count)]
        if not used.size:
            return out, 1.0
        scale = 1.0 / np.sqrt(np.diagonal(self._total[channel])[used])
        gram = self._total[channel][np.ix_(used, used)] * scale[:, None] * scale
        values, vectors = np.linalg.eigh(gram)
        inflation = np.sum(vectors**2 / np.maximum(values, 1e-15), axis=1)
        clear = inflation < WORST_INFLATION
        whole = _solve(self._total[channel][None], used, scale)[0]
        n = groups.shape[0]
        left_out = _solve(self._total[channel][None] - groups, used, scale)
        sd = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0))
        for place, stem in enumerate(used.tolist()):
            if not clear[place]:
                out[stem] = unseen("too like other stems to be told from them")
            else:
                out[stem] = Figure(float(whole[place]), float(sd[place]))
        return out, float(values[-1] / max(values[0], 1e-15))


def _solve(grams: Floats, used: NDArray[np.int64], scale: Floats) -> Floats:
    """Return the least-squares factors for each of (n, stems + 1, stems + 1), (n, used)."""
    matrix = grams[:, used[:, None], used] * scale[:, None] * scale
    # A stem that sounds in one group only leaves a hole when that group is left out: the ridge keeps it at no change.
    matrix = matrix + 1e-12 * np.eye(used.size)
    right = grams[:, used, -1] * scale
    solved: Floats = np.linalg.solve(matrix, right[:, :, None])[:, :, 0] * scale
    return solved


def _level(left: Figure) -> Figure:
    """Return the level [dB] of what is left of a stem (1: all of it)."""
    if not left.observable:
        return left
    if abs(left.value) < MISSING:
        return unseen("nothing of the stem is left")
    return Figure(NEPERS * float(np.log(abs(left.value))), NEPERS * left.sd / abs(left.value))


def _together(left: Sequence[Figure], power: Floats) -> Figure:
    """Return the level [dB] of what is left of a stem in all channels together, by power."""
    seen = [(f, p) for f, p in zip(left, power.tolist(), strict=True) if f.observable and p > 0.0]
    if not seen:
        return left[0]
    value, sd, weight = np.array([(f.value, f.sd, p) for f, p in seen]).T
    root = float(np.sqrt(np.sum(weight * value**2) / np.sum(weight)))
    slope = weight * value / (np.sum(weight) * max(root, 1e-12))
    return _level(Figure(root, float(np.sqrt(np.sum((slope * sd) ** 2)))))


def _common(changes: Sequence[Figure]) -> Figure:
    """Return the gain [dB] that most stems have in common: the mean, by 1/sd², of those close to the median."""
    levels = [_level(Figure(1.0 + c.value, c.sd)) for c in changes if c.observable]
    sure = [level for level in levels if level.observable and level.sd < UNSURE_DB]
    if len(sure) < 3:
        return unseen("fewer than three stems: which of them moved against the mix cannot be told")
    value, sd = np.array([(level.value, max(level.sd, 1e-9)) for level in sure]).T
    middle = float(np.median(value))
    stayed = np.abs(value - middle) <= np.maximum(SIGNIFICANT * sd, SMALLEST_DB)
    if not stayed.any():  # an even number: the middle lies between two
        stayed = np.abs(value - middle) <= np.min(np.abs(value - middle)) * (1.0 + 1e-9)
    weight = np.where(stayed, 1.0 / sd**2, 0.0)
    return Figure(float(np.sum(weight * value) / np.sum(weight)), float(1.0 / np.sqrt(np.sum(weight))))


def _re(change: Figure, common: Figure) -> Figure:
    """Return what is left of a stem (1: all of it) re the common gain."""
    if not change.observable:
        return change
    base, sd = (10.0 ** (common.value / 20.0), common.sd / NEPERS) if common.observable else (1.0, 0.0)
    left = (1.0 + change.value) / base
    return Figure(left, float(np.hypot(change.sd / base, left * sd)))


def _move(name: str, left: Sequence[Figure], power: Floats) -> StemMove:
    gains = tuple(_level(figure) for figure in left)
    level = _together(left, power)
    seen = [figure for figure in left if figure.observable]
    missing = bool(seen) and all(abs(f.value) < MISSING and f.sd < MISSING for f in seen)
    inverted = bool(seen) and not missing and all(f.value < -max(MISSING, SIGNIFICANT * f.sd) for f in seen)
    known = [g for g in gains if g.observable]
    shifted = [g for g in (level, *known) if g.observable and abs(g.value) > max(SIGNIFICANT * g.sd, SMALLEST_DB)]
    if not seen:
        note = f"{name}: {level.note}"
    elif missing:
        note = f"{name} is missing in B"
    elif inverted:
        note = f"{name} is inverted in B, {level.value:+.2f} ± {level.sd:.2g} dB"
    elif shifted:
        note = f"{name}: {level.value:+.2f} ± {level.sd:.2g} dB"
        if _differ(known):
            channels = (f"channel {n + 1} {g.value:+.2f} dB" for n, g in enumerate(gains) if g.observable)
            note += f" ({', '.join(channels)})"
    else:
        note = f"{name} has not moved (± {level.sd:.2g} dB)"
    return StemMove(name, gains, level, missing or inverted or bool(shifted), missing, inverted, note)


def _differ(known: Sequence[Figure]) -> bool:
    """Whether the channels moved apart."""
    if len(known) < 2:
        return False
    low, high = min(known, key=lambda g: g.value), max(known, key=lambda g: g.value)
    return high.value - low.value > max(SIGNIFICANT * float(np.hypot(low.sd, high.sd)), SMALLEST_DB)


def stem_moves(
    stems: Mapping[str, Floats], model: Floats, heard: Floats, *, rate_hz: int, span_s: float | None = None
) -> StemMoves:
    """Return the moves from whole arrays (channels, frames): stems by name, the model of the mix, the recording.

    With ``span_s`` only that much, spread over the whole in sixteen spans, is looked at.
    """
    regression = StemRegression(list(stems), rate_hz=rate_hz, channels=model.shape[0])
    frames = model.shape[1]
    length = frames if span_s is None else min(frames, max(1, round(span_s * rate_hz / SPANS)))
    starts = [0] if length == frames else sorted(set(np.linspace(0, frames - length, SPANS).astype(int).tolist()))
    for start in starts:
        cut = slice(start, start + length)
        regression.add([x[:, cut] for x in stems.values()], model[:, cut], heard[:, cut])
    return regression.result()
