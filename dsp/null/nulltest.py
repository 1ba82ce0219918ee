"""The null test: lay one recording over another, subtract, and say what is left and why.

Depth is ``20·log10(rms(b − model)/rms(b))`` over the programme, all channels together, the outermost half second left
out. The model starts as the reference shifted by whole samples and gains, stage by stage, a gain and polarity per
channel, the fraction of a sample, the drift of two clocks, and at last a linear response per channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, NoAlignment, ShapeError
from dsp.levels import decibels, rms_from_dbfs
from dsp.null.align import Alignment, refine
from dsp.null.bands import Profile, depth_over_time, third_octave_depth
from dsp.null.findings import Event, find_events, find_slips, quiet_noise
from dsp.null.matching import Match, fit_match, hidden_drift
from dsp.null.reader import read
from dsp.null.search import Guess, first_guess

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]

EDGE_S = 0.5
BLOCK_S = 0.5
FEWEST_FRAMES = 4_096
DRIFT_GAIN_DB = 0.1  # a drift is kept when it takes this much off the residual
DRIFT_SIGMAS = 5.0  # … and is this many standard deviations from none
EQ_GAIN_DB = 1.0  # below this the linear match found nothing that could have biased the drift
SHALLOWEST_DB = -0.5  # explaining less than a tenth of B's power is no alignment
SLIP_DEPTH_DB = -40.0  # a recording that slipped by a frame or more does not null any deeper
NULL_DEFINITION = "20·log10(rms(B − model)/rms(B)), all channels, without the first and last 0.5 s"
DELAY_DEFINITION = "least-squares delay over the programme at B's first frame, positive when B is later than A"


@dataclass(frozen=True)
class Stage:
    """One stage of the model and what remains after it; ``depth_db`` is None when nothing remains."""

    name: str
    depth_db: float | None


@dataclass(frozen=True)
class NullResult:
    """What a null test found. Gains are of B relative to A; times are in B; ``None`` depths mean no residual at all."""

    rate_hz: int
    delay_samples: float
    """At B's first frame, positive when B is later."""
    delay_sd: float
    drift_ppm: float
    """Growth of the delay, positive when B runs ever later; exactly 0 when no drift was significant."""
    drift_sd_ppm: float
    polarity: tuple[int, ...]
    gain_db: tuple[float, ...]
    """Per channel; −∞ for a channel that is silent in B or A."""
    gain_sd_db: tuple[float, ...]
    null_depth_db: float | None
    """After delay, gain, polarity and drift."""
    null_depth_matched_db: float | None
    """After the linear match too."""
    note: str
    """"identical" and how, when nothing is left to subtract; otherwise empty."""
    limit_db: float | None
    """The depth at which only the recording's noise would be left."""
    limit_note: str
    stages: tuple[Stage, ...]
    events: tuple[Event, ...]
    third_octave: Profile
    """(centre [Hz], depth [dB]) before the linear match."""
    third_octave_matched: Profile
    over_time: Profile
    """(start of the 0.5 s block in B [s], depth [dB]) before the linear match."""
    first_frame: int
    """Of B, where the arrays below begin."""
    aligned_a: Samples
    """(frames, channels): A with delay, gain, polarity and drift of B."""
    aligned_b: Samples
    """(frames, channels): B as it is."""
    residual: Samples
    """``aligned_b − aligned_a``."""
    residual_matched: Samples
    match: Match | None = field(default=None, repr=False)


def null_test(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    *,
    rate_hz: int,
    noise_dbfs: float | None = None,
    matched: bool = True,
) -> NullResult:
    """Null the recording ``b`` against the reference ``a``; neither is changed.

    Parameters
    ----------
    a, b
        (frames, channels) or (frames,), full scale 1.0, of any lengths. A mono file is compared with every channel of
        the other.
    rate_hz
        Sample rate of both [Hz].
    noise_dbfs
        Noise of the recording, full band, RMS per channel [dBFS, AES17]; gives the limit. Estimated from quiet passages
        when not given and possible.
    matched
        Fit the linear response too; without it the matched depth repeats the plain one.

    Raises
    ------
    NoAlignment
        A file is silent, too short, or the two have nothing in common.
    ShapeError
        Channel counts that do not fit each other.
    DspError
        A file holds NaN or infinity.
    """
    a_rows, b_rows = _rows(a, b)
    guess = first_guess(a_rows, b_rows, rate_hz=rate_hz)
    exact = _identical(a_rows, b_rows, guess, rate_hz, noise_dbfs)
    if exact is not None:
        return exact
    fit, kept = _align(a_rows, b_rows, guess)
    span = _span(fit, a_rows, b_rows)
    edge = _edge(span, rate_hz)
    inner = (edge, span[1] - span[0] - edge)
    heard = b_rows[:, span[0] : span[1]]
    stages = _early_stages(a_rows, heard, fit, span, inner, kept=kept)
    y = _read(a_rows, fit, span)
    model = np.array(fit.gains)[:, None] * y
    stages.append(Stage("drift" if kept else "fraction", _depth(heard - model, heard, inner)))
    plain = stages[-1].depth_db
    best, match = model, None
    if matched:
        fit, kept, match, matched_model = _match(a_rows, heard, fit, kept, y, span, inner, rate_hz, plain)
        reached = _depth(heard - matched_model, heard, inner)
        if _deeper(reached, plain):
            best = matched_model
        stages.append(Stage("eq", reached if best is matched_model else plain))
    reached = stages[-1].depth_db
    if reached is not None and reached > SHALLOWEST_DB:
        raise NoAlignment(
            "The two recordings have nothing in common that could be aligned.",
            hint="Check that both hold the same song, and the same part of it.",
        )
    cut = slice(*inner)
    noise, limit_note = _noise(best[:, cut], heard[:, cut], rate_hz, noise_dbfs)
    whole, left, left_matched = heard[:, cut], (heard - model)[:, cut], (heard - best)[:, cut]
    first = span[0] + inner[0]
    events = find_events(best[:, cut], whole, rate_hz=rate_hz, first_frame=first, noise_rms=noise or 0.0)
    slips: tuple[Event, ...] = ()
    if guess.steady is not None or (reached is not None and reached > SLIP_DEPTH_DB):
        slips = find_slips(best[:, cut], whole, rate_hz=rate_hz, first_frame=first)
    return NullResult(
        rate_hz=rate_hz,
        delay_samples=fit.delay_samples,
        delay_sd=fit.delay_sd,
        drift_ppm=fit.drift * 1e6 if kept else 0.0,
        drift_sd_ppm=fit.drift_sd * 1e6,
        polarity=fit.polarity,
        gain_db=tuple(decibels(abs(g)) for g in fit.gains),
        gain_sd_db=tuple(8.685889638 * s / abs(g) if g else 0.0 for g, s in zip(fit.gains, fit.gain_sds, strict=True)),
        null_depth_db=plain,
        null_depth_matched_db=stages[-1].depth_db,
        note="",
        limit_db=None if noise is None else decibels(noise / _rms(whole)),
        limit_note=limit_note,
        stages=tuple(stages),
        events=tuple(sorted((*events, *slips), key=lambda event: event.at_s)),
        third_octave=third_octave_depth(left, whole, rate_hz=rate_hz),
        third_octave_matched=third_octave_depth(left_matched, whole, rate_hz=rate_hz),
        over_time=depth_over_time(left, whole, rate_hz=rate_hz, first_frame=first, block_s=BLOCK_S),
        first_frame=first,
        aligned_a=_columns(model[:, cut]),
        aligned_b=_columns(whole),
        residual=_columns(left),
        residual_matched=_columns(left_matched),
        match=match,
    )


def _rows(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return both as (channels, frames) float64 with equal channel counts, or say what is wrong."""
    rows: list[Floats] = []
    for name, x in (("A", a), ("B", b)):
        if x.ndim not in (1, 2) or x.size == 0:
            raise ShapeError(f"{name} has shape {x.shape}; it must be frames by channels.", hint="Check the file.")
        shaped = np.ascontiguousarray(np.atleast_2d(x.T), dtype=np.float64)
        if not np.all(np.isfinite(shaped)):
            raise DspError(f"{name} holds samples that are not numbers.", hint="Render or record it again.")
        if not np.any(shaped):
            raise NoAlignment(f"{name} is silent from start to end: there is nothing to align.", hint="Check the file.")
        if shaped.shape[1] < FEWEST_FRAMES:
            raise NoAlignment(
                f"{name} is only {shaped.shape[1]} frames long; a null test needs {FEWEST_FRAMES}.",
                hint="Take more of it.",
            )
        rows.append(shaped)
    channels = max(rows[0].shape[0], rows[1].shape[0])
    if any(row.shape[0] not in (1, channels) for row in rows):
        raise ShapeError(
            f"A has {rows[0].shape[0]} channels and B has {rows[1].shape[0]}; they cannot be laid over each other.",
            hint="Compare files of equal channel count, or a mono file with any.",
        )
    first, second = (np.repeat(row, channels, axis=0) if row.shape[0] < channels else row for row in rows)
    return first, second


def _align(a: Floats, b: Floats, guess: Guess) -> tuple[Alignment, bool]:
    """Return the alignment and whether a drift is part of it."""
    delay, drift = guess.delay_samples, guess.drift
    span = _span(Alignment(delay, 0.0, drift, 0.0, (), ()), a, b)
    if guess.steady is not None:
        span = max(span[0], guess.steady[0]), min(span[1], guess.steady[1])
    if drift != 0.0:
        moving = refine(a, b, delay=delay, drift=drift, span=span, with_drift=True)
        if abs(moving.drift) > DRIFT_SIGMAS * moving.drift_sd:
            return moving, True
        return refine(a, b, delay=delay, drift=0.0, span=span, with_drift=False), False
    still = refine(a, b, delay=delay, drift=0.0, span=span, with_drift=False)
    if still.drift_hint_db < DRIFT_GAIN_DB:
        return still, False
    moving = refine(a, b, delay=still.delay_samples, drift=0.0, span=span, with_drift=True)
    if abs(moving.drift) > DRIFT_SIGMAS * moving.drift_sd:
        return moving, True
    return still, False


def _early_stages(
    a: Floats, heard: Floats, fit: Alignment, span: tuple[int, int], inner: tuple[int, int], *, kept: bool
) -> list[Stage]:
    """Return the depths after the whole-sample delay, after gain and polarity and, with a drift, after the fraction."""
    middle = 0.5 * (span[0] + span[1])
    centre = fit.delay_samples + fit.drift * middle
    whole = _shifted(a, round(centre), span)
    stages = [Stage("delay", _depth(heard - whole, heard, inner))]
    stages.append(Stage("gain", _depth(heard - _gained(whole, heard, inner), heard, inner)))
    if kept:
        fixed, _ = read(a, delay=centre, drift=0.0, start=span[0], stop=span[1])
        stages.append(Stage("fraction", _depth(heard - _gained(fixed, heard, inner), heard, inner)))
    return stages


def _match(
    a: Floats,
    heard: Floats,
    fit: Alignment,
    kept: bool,
    y: Floats,
    span: tuple[int, int],
    inner: tuple[int, int],
    rate_hz: int,
    plain: float | None,
) -> tuple[Alignment, bool, Match, Floats]:
    """Fit the linear response, and the drift again in what it leaves; return both with the matched reference."""
    middle = 0.5 * (span[1] - span[0])
    match, model = fit_match(y, heard, span=inner, rate_hz=rate_hz)
    reached = _depth(heard - model, heard, inner)
    if plain is None or reached is None or reached > plain - EQ_GAIN_DB:
        return fit, kept, match, model  # no equaliser in the path: the drift fitted before it stands
    for _ in range(3):
        _, slope = read(a, delay=fit.delay_samples, drift=fit.drift, start=span[0], stop=span[1], slope=True)
        more, sd, gain_db = hidden_drift(y, slope, heard - model, match, span=inner, middle=middle)
        if abs(more) < DRIFT_SIGMAS * sd or (gain_db < DRIFT_GAIN_DB and not kept):
            break
        kept = True
        fit = Alignment(
            delay_samples=fit.delay_samples - more * (span[0] + middle),
            delay_sd=float(np.hypot(fit.delay_sd, sd * (span[0] + middle))),
            drift=fit.drift + more,
            drift_sd=sd,
            gains=fit.gains,
            gain_sds=fit.gain_sds,
        )
        y = _read(a, fit, span)
        match, model = fit_match(y, heard, span=inner, rate_hz=rate_hz)
    return fit, kept, match, model


def _identical(a: Floats, b: Floats, guess: Guess, rate_hz: int, noise_dbfs: float | None) -> NullResult | None:
    """Return the result for a B that is A to the last bit, shifted by whole samples or inverted at most."""
    lag = round(guess.delay_samples)
    start, stop = max(0, lag), min(b.shape[1], a.shape[1] + lag)
    if guess.drift != 0.0 or stop - start < FEWEST_FRAMES:
        return None
    part, heard = a[:, start - lag : stop - lag], b[:, start:stop]
    signs = [
        1 if np.array_equal(x, y) else -1 if np.array_equal(-x, y) else 0 for x, y in zip(part, heard, strict=True)
    ]
    if 0 in signs:
        return None
    extras = [f"{abs(lag)} samples {'later' if lag > 0 else 'earlier'}"] if lag else []
    extras += [f"channel {n + 1} inverted" for n, sign in enumerate(signs) if sign < 0]
    edge = _edge((start, stop), rate_hz)
    cut = slice(edge, stop - start - edge)
    whole = heard[:, cut]
    nothing = np.zeros_like(whole)
    noise, limit_note = _noise(whole, whole, rate_hz, noise_dbfs)
    silent = third_octave_depth(nothing, whole, rate_hz=rate_hz)
    names = ("delay", "gain", "fraction", "eq")
    plain_depth = _depth(heard - part, heard, (cut.start, cut.stop))
    return NullResult(
        rate_hz=rate_hz,
        delay_samples=float(lag),
        delay_sd=0.0,
        drift_ppm=0.0,
        drift_sd_ppm=0.0,
        polarity=tuple(signs),
        gain_db=(0.0,) * len(signs),
        gain_sd_db=(0.0,) * len(signs),
        null_depth_db=None,
        null_depth_matched_db=None,
        note="identical" + (f" ({', '.join(extras)})" if extras else ""),
        limit_db=None if noise is None or not np.any(whole) else decibels(noise / _rms(whole)),
        limit_note=limit_note,
        stages=tuple(Stage(name, plain_depth if name == "delay" else None) for name in names),
        events=(),
        third_octave=silent,
        third_octave_matched=silent,
        over_time=depth_over_time(nothing, whole, rate_hz=rate_hz, first_frame=start + edge, block_s=BLOCK_S),
        first_frame=start + edge,
        aligned_a=_columns(whole),
        aligned_b=_columns(whole),
        residual=_columns(nothing),
        residual_matched=_columns(nothing),
    )


def _span(fit: Alignment, a: Floats, b: Floats) -> tuple[int, int]:
    span = fit.overlap(a.shape[1], b.shape[1])
    if span[1] - span[0] < FEWEST_FRAMES // 2:
        raise NoAlignment(
            f"The recordings overlap in only {max(0, span[1] - span[0])} frames.", hint="Take longer parts of both."
        )
    return span


def _edge(span: tuple[int, int], rate_hz: int) -> int:
    """Return how many frames to leave out at either end: 0.5 s, of a short overlap a tenth."""
    return min(round(EDGE_S * rate_hz), (span[1] - span[0]) // 10)


def _read(a: Floats, fit: Alignment, span: tuple[int, int]) -> Floats:
    reading, _ = read(a, delay=fit.delay_samples, drift=fit.drift, start=span[0], stop=span[1])
    return reading


def _shifted(a: Floats, lag: int, span: tuple[int, int]) -> Floats:
    """Return ``a(n − lag)`` over the span, silent where there is none."""
    out = np.zeros((a.shape[0], span[1] - span[0]))
    low, high = max(span[0], lag), min(span[1], a.shape[1] + lag)
    out[:, low - span[0] : high - span[0]] = a[:, low - lag : high - lag]
    return out


def _gained(y: Floats, heard: Floats, inner: tuple[int, int]) -> Floats:
    """Return ``y`` with the least-squares gain per channel."""
    cut = slice(*inner)
    power = np.einsum("cn,cn->c", y[:, cut], y[:, cut])
    shared = np.einsum("cn,cn->c", y[:, cut], heard[:, cut])
    gained: Floats = np.where(power > 0.0, shared / np.where(power > 0.0, power, 1.0), 0.0)[:, None] * y
    return gained


def _noise(model: Floats, heard: Floats, rate_hz: int, noise_dbfs: float | None) -> tuple[float | None, str]:
    if noise_dbfs is not None:
        return rms_from_dbfs(noise_dbfs), f"from a recording noise of {noise_dbfs:.1f} dBFS"
    return quiet_noise(model, heard, rate_hz=rate_hz)


def _rms(x: Floats) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _depth(left: Floats, heard: Floats, inner: tuple[int, int]) -> float | None:
    """Return the null depth over ``inner`` [dB]; None when nothing is left."""
    cut = slice(*inner)
    over, under = float(np.sum(left[:, cut] ** 2)), float(np.sum(heard[:, cut] ** 2))
    if under == 0.0:
        raise NoAlignment("B is silent where the recordings overlap.", hint="Take a longer part of it.")
    return 10.0 * float(np.log10(over / under)) if over > 0.0 else None


def _deeper(depth: float | None, than: float | None) -> bool:
    return than is not None and (depth is None or depth < than)


def _columns(x: Floats) -> Samples:
    return np.ascontiguousarray(x.T, dtype=np.float32)
