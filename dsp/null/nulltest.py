"""The null test: lay one recording over another, subtract, and say what is left and why.

Depth is ``20·log10(rms(b − model)/rms(b))`` over the programme, all channels together, the outermost half second left
out. The model starts as the reference shifted by whole samples and gains, stage by stage, a gain and polarity per
channel, the fraction of a sample, the drift of two clocks, the jumps of an edited or interrupted recording, the wander
of clocks, and at last what the matching stages add. Both recordings are read in blocks; neither is ever held.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, NoAlignment, ShapeError
from dsp.levels import decibels
from dsp.null.corners import Corners
from dsp.null.curve import Curve
from dsp.null.faults import find_faults
from dsp.null.fitting import Fitted, fit_all
from dsp.null.identity import identical
from dsp.null.matrix import Matrix
from dsp.null.processing import find_processing
from dsp.null.result import DELAY_DEFINITION, NULL_DEFINITION, Collected, Event, NullResult, Segment, Sink, Stage
from dsp.null.search import assign, first_guess, nothing_in_common, on_line
from dsp.null.segments import Change, beyond, name_changes
from dsp.null.signal import ArraySignal, Picked, Signal
from dsp.null.sketch import Facts, Sketch, coarse_factor, walk
from dsp.null.stages import ALL_STAGES, MatchStage
from dsp.null.sweep import Programme, noise_of, sweep

__all__ = [
    "DELAY_DEFINITION",
    "NULL_DEFINITION",
    "Collected",
    "NullResult",
    "Sink",
    "Stage",
    "null_arrays",
    "null_test",
]

FEWEST_FRAMES = 4_096
SURE_DB = -6.0  # no wrong alignment explains three quarters of a programme
SHALLOWEST_DB = -0.02  # A lies 23 dB below the rest of B
MOST_EVENTS = 64
HEAVY_EQ_DB = 3.0


def null_test(
    a: Signal | NDArray[np.floating],
    b: Signal | NDArray[np.floating],
    *,
    rate_hz: int,
    noise_dbfs: float | None = None,
    matched: bool = True,
    stages: Sequence[MatchStage] | None = None,
    sink: Sink | None = None,
) -> NullResult:
    """Null the recording ``b`` against the reference ``a``; neither is changed.

    Parameters
    ----------
    a, b
        Signals, or arrays (frames, channels) or (frames,), full scale 1.0, of any lengths. A mono file is compared with
        every channel of the other; of unequal channel counts those that resemble each other are compared.
    rate_hz
        Sample rate of both [Hz].
    noise_dbfs
        Noise of the recording, full band, RMS per channel [dBFS, AES17]; gives the limit. Estimated from quiet passages
        when not given and possible.
    matched
        Run the matching stages; without them the matched depth repeats the plain one.
    stages
        The matching stages, in order; corners, equaliser, matrix and curve when not given.
    sink
        Called with every block of the programme, in order: (first frame of B, model, matched model, B). Where B plays
        something that is not in A the models are silent.

    Raises
    ------
    NoAlignment
        A file is silent, too short, or the two have nothing in common.
    ShapeError
        Channel counts that do not fit each other.
    DspError
        A file holds NaN or infinity.
    """
    first, second = _signal("A", a), _signal("B", b)
    factor = coarse_factor(max(first.frames, second.frames), rate_hz)
    facts_a, facts_b = _checked("A", first, factor), _checked("B", second, factor)
    both = Sketch(factor, facts_a.low, facts_b.low, (first, second))
    if first.channels == second.channels:  # the commonest case, and the dearest to mistake for anything else
        straight = tuple((n, n) for n in range(first.channels))
        same = identical(first, second, (0,), rate_hz=rate_hz, noise_dbfs=noise_dbfs, pairs=straight, sink=sink)
        if same is not None:
            return same
    pairs, near = assign(first, second, both)
    both = _picked(both, pairs)
    first, second = both.full
    guess = first_guess(first, second, rate_hz=rate_hz, both=both, near=near)
    lags = (0, *guess.whole_lags())
    same = identical(first, second, lags, rate_hz=rate_hz, noise_dbfs=noise_dbfs, pairs=pairs, sink=sink)
    if same is not None:
        return same
    wanted = ALL_STAGES if stages is None else tuple(stages)
    fitted = fit_all(first, second, guess, both, rate_hz=rate_hz, stages=wanted if matched else ())
    lags = tuple(round(piece.delay) for piece in fitted.path.alignment.pieces)
    same = identical(first, second, lags, rate_hz=rate_hz, noise_dbfs=noise_dbfs, pairs=pairs, sink=sink)
    if same is not None:  # the blocks of a tonal programme may lie whole cycles off
        return same
    programme = sweep(fitted, second, rate_hz=rate_hz, sink=sink)
    told = _depths(fitted, programme)
    _refuse_wrong(fitted, second, told)
    return _result(fitted, programme, told, second, pairs, rate_hz=rate_hz, noise_dbfs=noise_dbfs)


def null_arrays(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    *,
    rate_hz: int,
    noise_dbfs: float | None = None,
    matched: bool = True,
) -> tuple[NullResult, Collected]:
    """Return the result of :func:`null_test` and, as arrays, what is left of ``b``."""
    kept = Collected()
    return null_test(a, b, rate_hz=rate_hz, noise_dbfs=noise_dbfs, matched=matched, sink=kept), kept


def _signal(name: str, x: Signal | NDArray[np.floating]) -> Signal:
    """Return a recording as a signal, or say what is wrong with its shape."""
    if isinstance(x, np.ndarray):
        if x.ndim not in (1, 2) or x.size == 0:
            raise ShapeError(f"{name} has shape {x.shape}; it must be frames by channels.", hint="Check the file.")
        return ArraySignal.of_frames(x)
    if x.frames == 0 or x.channels == 0:
        raise ShapeError(f"{name} holds no sound.", hint="Check the file.")
    return x


def _checked(name: str, x: Signal, factor: int) -> Facts:
    """Walk through a recording once; say what makes it impossible to null."""
    facts = walk(x, factor)
    if not facts.finite:
        raise DspError(f"{name} holds samples that are not numbers.", hint="Render or record it again.")
    if facts.silent:
        raise NoAlignment(f"{name} is silent from start to end: there is nothing to align.", hint="Check the file.")
    if x.frames < FEWEST_FRAMES:
        raise NoAlignment(
            f"{name} is only {x.frames} frame{'s' * (x.frames != 1)} long; a null test needs {FEWEST_FRAMES}.",
            hint="Take more of it.",
        )
    if facts.constant:
        raise NoAlignment(
            f"{name} holds a steady value and no sound: there is nothing to align.", hint="Check the file."
        )
    return facts


def _picked(both: Sketch, pairs: tuple[tuple[int, int], ...]) -> Sketch:
    """Return the recordings with those channels only that are compared, in pairs."""
    a, b = both.full
    picks = tuple(i for i, _ in pairs), tuple(j for _, j in pairs)
    first, second = (
        x if chosen == tuple(range(x.channels)) else Picked(x, chosen) for x, chosen in zip((a, b), picks, strict=True)
    )
    return Sketch(both.factor, both.a[list(picks[0])], both.b[list(picks[1])], (first, second))


def _depths(fitted: Fitted, programme: Programme) -> list[Stage]:
    """Return the depth after every stage."""
    sums = programme.tally.sums
    heard = float(sums[0])
    if heard == 0.0:
        raise NoAlignment("B is silent where the recordings overlap.", hint="Take a longer part of it.")
    told = [Stage("delay", _decibels(programme.whole, heard))]
    left = [*programme.tally.early_left().tolist()]
    for name, power in zip(programme.early, left, strict=True):
        told.append(Stage(name, _decibels(power, heard)))
    told.append(Stage(fitted.plain_name, _decibels(float(sums[1]), heard)))
    used = iter(sums[2:].tolist())
    names = {name for name, _ in fitted.path.chain}
    for name in fitted.tried:
        told.append(Stage(name, _decibels(next(used), heard) if name in names else told[-1].depth_db))
    return told


def _refuse_wrong(fitted: Fitted, b: Signal, told: list[Stage]) -> None:
    """Raise where the alignment is a chance likeness.

    The plain depth counts: an equaliser can draw something like the recording out of anything. A shallow null may yet
    be right, when A is one stem of B or B is noisy; then short blocks, each looked for on its own, lie on the line.
    """
    plain = next(stage.depth_db for stage in told if stage.name == fitted.plain_name)
    if plain is None or plain <= SURE_DB:
        return
    path = fitted.path
    if plain > SHALLOWEST_DB or not on_line(path.a, b, path.alignment.pieces, path.alignment.drift):
        raise nothing_in_common()


def _result(
    fitted: Fitted,
    programme: Programme,
    told: list[Stage],
    b: Signal,
    pairs: tuple[tuple[int, int], ...],
    *,
    rate_hz: int,
    noise_dbfs: float | None,
) -> NullResult:
    tally, fit = programme.tally, fitted.path.alignment
    chain = [applied for _, applied in fitted.path.chain]
    sums, values = tally.sums, programme.frames * b.channels
    noise, limit_note = noise_of(tally.hops, rate_hz=rate_hz, noise_dbfs=noise_dbfs)
    rms = float(np.sqrt(sums[0] / values))
    changes = _changes(fitted, programme, b, rate_hz=rate_hz, noise_rms=noise or 0.0)
    wander = fitted.wander
    knots = np.zeros(0) if wander is None else wander.knots()
    plain = next(stage for stage in told if stage.name == fitted.plain_name)
    return NullResult(
        rate_hz=rate_hz,
        delay_samples=fit.delay_samples,
        delay_sd=fit.delay_sd,
        drift_ppm=fit.drift * 1e6 if fitted.drifts else 0.0,
        drift_sd_ppm=fit.drift_sd * 1e6,
        time_map=()
        if wander is None
        else tuple(zip((knots / rate_hz).tolist(), wander(knots).tolist(), wander.sd(knots).tolist(), strict=True)),
        polarity=fit.polarity,
        gain_db=tuple(decibels(abs(g)) for g in fit.gains),
        gain_sd_db=tuple(8.685889638 * s / abs(g) if g else 0.0 for g, s in zip(fit.gains, fit.gain_sds, strict=True)),
        channels=pairs,
        null_depth_db=plain.depth_db,
        null_depth_matched_db=told[-1].depth_db,
        note="",
        limit_db=None if noise is None else decibels(noise / rms),
        limit_note=limit_note,
        stages=tuple(told),
        segments=tuple(Segment(p.start / rate_hz, p.stop / rate_hz, p.delay) for p in fit.pieces),
        changes=tuple(changes),
        events=tuple(Event(c.frame / rate_hz, c.frames / rate_hz, c.what) for c in changes[:MOST_EVENTS]),
        third_octave=tally.depths(1),
        third_octave_matched=tally.depths(2),
        programme_third_octave=tally.levels(0),
        residual_third_octave=tally.levels(1),
        over_time=tally.over_time(),
        residual_rms=float(np.sqrt(sums[1] / values)),
        programme_rms=rms,
        first_frame=programme.start,
        stop_frame=programme.stop,
        path=fitted.path,
        corners=next((stage for stage in chain if isinstance(stage, Corners)), None),
        corners_note=_corners_note(told),
        matrix=next((stage for stage in chain if isinstance(stage, Matrix)), None),
        curve=next((stage for stage in chain if isinstance(stage, Curve)), None),
    )


def _corners_note(told: list[Stage]) -> str:
    """Return why corners are not to be trusted: they were fitted as if there were no equaliser, and there is one."""
    depths = {stage.name: stage.depth_db for stage in told}
    corners, eq = depths.get("corners"), depths.get("eq")
    if corners is None or eq is None or corners - eq < HEAVY_EQ_DB:
        return ""
    return f"an equaliser behind them took {corners - eq:.1f} dB more: the corners are bent by it and not to be trusted"


def _changes(fitted: Fitted, programme: Programme, b: Signal, *, rate_hz: int, noise_rms: float) -> list[Change]:
    """Return everything that happened to the recording, in order."""
    path = fitted.path
    pieces = path.alignment.pieces
    drift = path.alignment.drift
    found = name_changes(
        pieces, fitted.cuts, strange=fitted.strange, drift=drift, a_frames=path.a.frames, rate_hz=rate_hz
    )
    found += find_faults(programme.tally.hops, b, path.best, pieces, rate_hz=rate_hz, noise_rms=noise_rms)
    found += find_processing(programme.tally, b, path.best, pieces, rate_hz=rate_hz)
    found += beyond(path, b, fitted.strange, programme_rms=programme.rms, rate_hz=rate_hz)
    return sorted(found, key=lambda change: change.frame)


def _decibels(over: float, under: float) -> float | None:
    return 10.0 * float(np.log10(over / under)) if over > 0.0 else None
