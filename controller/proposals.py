"""What the measurements of a mix suggest: proposals with a number, a reason and a place. The engineer decides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from controller.mix import FADER_DB, Mix, Strip
from dsp import advice
from dsp.advice import BandPowers, Fold, Levels

TARGET_LUFS = -20.0
CEILING_DBFS = -6.0
"""No proposed trim brings a strip's sample peak before the fader above this."""

SMALLEST_STEP_DB = 0.5
"""A smaller change is not worth a hand on the control."""

INVERTED = -0.9
"""The correlation below which one side of a stereo strip is taken for the other one turned round."""

ALL_LOST_DB = -90.0
"""What is left below is the rounding of 16 bits or less: nothing anybody hears."""

METHOD = {
    "gain": (
        f"trim that brings the integrated loudness before the fader (BS.1770) to the target, as far as its sample peak "
        f"stays at or below {CEILING_DBFS:g} dBFS; changes below {SMALLEST_STEP_DB:g} dB are left out"
    ),
    "balance": (
        "faders at which all heard strips are equally loud after fader and pan, with the sum of their powers as it is "
        "now and the proposed trims made up for; a starting point, not a mix"
    ),
    "masking": (
        f"strips panned within {advice.PAN_APART:g} of each other, by third octave and second, after the fader: "
        f"energies within {advice.CLOSE_DB:g} dB of each other, each at least {advice.MATTERS_DB:g} dB of its own "
        f"strip and {advice.MATTERS_IN_MIX_DB:g} dB of all strips in that band, in at least {advice.SHARE:.0%} of the "
        f"seconds in which both sound; no model of hearing"
    ),
    "mono": (
        f"left + right against the power of both sides: +3 dB for equal, 0 dB for unrelated sides; told where it is "
        f"below {advice.FOLD_LOSS_DB:g} dB, for strips of stereo stems and the main bus"
    ),
    "clip": (
        f"samples above full scale, or {advice.STEM_RUN} in a row at full scale in a stem; counted are the runs, "
        f"each channel by itself"
    ),
}
"""How each kind of proposal comes about, with its thresholds."""


@dataclass(frozen=True)
class Clip:
    """Where a signal reaches too far: its peak [dBFS re full scale], the first time [s], how many times."""

    peak_dbfs: float
    first_s: float
    count: int


@dataclass(frozen=True)
class StripHeard:
    """One strip as the pass heard it. ``dynamic``: what lies before its fader may answer to its level."""

    strip: Strip
    channels: int
    heard: bool
    dynamic: bool
    before: Levels
    after: Levels
    bands: BandPowers
    fold: Fold
    stem_clip: Clip | None
    clip_before: Clip | None
    clip_after: Clip | None


@dataclass(frozen=True)
class BusHeard:
    """The main bus as the pass heard it."""

    name: str
    levels: Levels
    bands: BandPowers
    fold: Fold
    clip: Clip | None


@dataclass(frozen=True)
class Heard:
    """All that one pass measured; ``bus_clips`` are those of the added busses that go above full scale."""

    mix: Mix
    seconds: float
    strips: tuple[StripHeard, ...]
    bus: BusHeard
    bus_clips: Mapping[str, Clip]


@dataclass(frozen=True)
class Proposal:
    """One proposal: ``what`` to look at or set on ``strip``, by how much, in which band, from which second on, and why.

    ``to_db`` is the value that the control would have; ``other`` the second strip of a masking hint; ``spans_s`` all
    seconds that it is about, from and to.
    """

    kind: str
    strip: str
    what: str
    why: str
    by_db: float | None = None
    band_hz: tuple[float, float] | None = None
    at_s: float | None = None
    to_db: float | None = None
    other: str | None = None
    spans_s: tuple[tuple[float, float], ...] = ()


def propose(heard: Heard, *, target_lufs: float = TARGET_LUFS) -> tuple[Proposal, ...]:
    """Return all proposals: clips first, then gain staging, the balance, mono, masking."""
    trims = {one.strip.name: _trim(one, target_lufs) for one in heard.strips}
    return (
        *_clips(heard),
        *(_gain(one, trims[one.strip.name], target_lufs) for one in heard.strips if trims[one.strip.name]),
        *_balance(heard, trims),
        *_mono(heard),
        *_masking(heard),
    )


def _trim(one: StripHeard, target_lufs: float) -> float:
    """Return the change of the trim that is worth proposing, or 0."""
    if not math.isfinite(one.before.loudness_lufs):
        return 0.0
    by_db = advice.trim_by(one.before, target_lufs=target_lufs, ceiling_dbfs=CEILING_DBFS)
    allowed = Strip.ranges["trim_db"]
    by_db = min(max(by_db, allowed.low - one.strip.trim_db), allowed.high - one.strip.trim_db)
    return by_db if abs(by_db) >= SMALLEST_STEP_DB else 0.0


def _gain(one: StripHeard, by_db: float, target_lufs: float) -> Proposal:
    before, to_db = one.before, one.strip.trim_db + by_db
    why = f"{before.loudness_lufs:.1f} LUFS before the fader, the target is {target_lufs:g}"
    reached = before.loudness_lufs + by_db
    if abs(reached - target_lufs) > 0.05:
        limit = (
            f"its peak, {before.peak_dbfs:.1f} dBFS, is to be at most {CEILING_DBFS:g}"
            if abs(before.peak_dbfs + by_db - CEILING_DBFS) < 0.05
            else "the trim ends there"
        )
        why += f"; it comes to {reached:.1f}, for {limit}"
    if one.dynamic:
        why += "; compressor or inserts hear the trim too, so measure again"
    return Proposal("gain", one.strip.name, f"trim_db = {to_db:.1f}", why, by_db, to_db=to_db)


def _balance(heard: Heard, trims: Mapping[str, float]) -> Iterator[Proposal]:
    playing = [
        one
        for one in heard.strips
        if one.heard and math.isfinite(one.strip.fader_db) and math.isfinite(one.after.loudness_lufs)
    ]
    if len(playing) < 2:
        return
    faders = advice.equal_loudness(
        [one.after.loudness_lufs for one in playing],
        [trims[one.strip.name] for one in playing],
        [FADER_DB.high - one.strip.fader_db for one in playing],
    )
    for one, by_db in zip(playing, faders, strict=True):
        if abs(by_db) < SMALLEST_STEP_DB:
            continue
        trim_db, name = trims[one.strip.name], one.strip.name
        to_db = max(FADER_DB.low, one.strip.fader_db + by_db)
        why = (
            f"a starting point: every strip at {one.after.loudness_lufs + trim_db + by_db:.1f} LUFS after fader and "
            f"pan; this one is at {one.after.loudness_lufs:.1f}"
        )
        if trim_db:
            why += f", and its trim changes by {trim_db:+.1f} dB"
        if "fader_db" in heard.mix.moves_of(name):
            why += "; its fader moves, so shift the whole move"
        yield Proposal("balance", name, f"fader_db = {to_db:.1f}", why, by_db, to_db=to_db)


def _mono(heard: Heard) -> Iterator[Proposal]:
    stereo = [(s.strip.name, s.bands, s.fold) for s in heard.strips if s.heard and s.channels == 2]
    for name, bands, fold in ((heard.bus.name, heard.bus.bands, heard.bus.fold), *stereo):
        if fold.change_db < advice.FOLD_LOSS_DB:
            missing = (bands.stereo - bands.mono).sum(axis=1)
            hint = (
                "; one side seems to be the other turned round: look at its stem" if fold.correlation < INVERTED else ""
            )
            yield Proposal(
                "mono",
                name,
                f"folded to mono, {_lost(fold.change_db)}",
                f"the correlation of its sides is {fold.correlation:+.2f}{hint}",
                fold.change_db,
                at_s=float(np.argmax(missing)),
            )
            continue
        for loss in advice.band_losses(bands):
            yield Proposal(
                "mono",
                name,
                f"folded to mono, {_lost(loss.change_db)} from {_hz(loss.low_hz)} to {_hz(loss.high_hz)}",
                "its sides work against each other in these bands",
                loss.change_db,
                (loss.low_hz, loss.high_hz),
                loss.at_s,
            )


def _masking(heard: Heard) -> Iterator[Proposal]:
    strips = [one for one in heard.strips if one.heard]
    if len(strips) < 2:
        return
    powers = np.stack([one.bands.stereo for one in strips])
    for hint in advice.masking(powers, [one.strip.pan for one in strips]):
        a, b = strips[hint.first].strip, strips[hint.second].strip
        yield Proposal(
            "masking",
            a.name,
            f"shares {_hz(hint.low_hz)} to {_hz(hint.high_hz)} with {b.name}",
            f"within {advice.CLOSE_DB:g} dB of each other there in {hint.share:.0%} of the seconds in which both "
            f"sound, panned {abs(a.pan - b.pan):g} apart",
            hint.over_db,
            (hint.low_hz, hint.high_hz),
            hint.spans_s[0][0],
            other=b.name,
            spans_s=hint.spans_s,
        )


def _clips(heard: Heard) -> Iterator[Proposal]:
    for one in heard.strips:
        if (clip := one.stem_clip) is not None:
            yield Proposal(
                "clip",
                one.strip.name,
                f"the stem {one.strip.stem} is clipped",
                f"{_times(clip.count)} {advice.STEM_RUN} or more samples in a row at full scale; no fader brings back "
                f"what is cut off",
                at_s=clip.first_s,
            )
        where = "before the fader" if one.clip_before is not None else "after the fader"
        if (clip := one.clip_before or one.clip_after) is not None:
            yield _over(one.strip.name, where, clip)
    for name, clip in heard.bus_clips.items():
        yield _over(name, "the bus", clip)
    if heard.bus.clip is not None:
        yield _over(heard.bus.name, "the main bus", heard.bus.clip)


def _over(name: str, where: str, clip: Clip) -> Proposal:
    return Proposal(
        "clip",
        name,
        f"{where}: {clip.peak_dbfs:+.1f} dBFS",
        f"{_times(clip.count)} above full scale; the box carries it, a converter or a file of 24 bits does not",
        -clip.peak_dbfs,
        at_s=clip.first_s,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _lost(change_db: float) -> str:
    return f"{-change_db:.1f} dB are lost" if change_db > ALL_LOST_DB else "all is lost"


def _hz(freq_hz: float) -> str:
    return f"{freq_hz / 1000.0:.3g} kHz" if freq_hz >= 1000.0 else f"{freq_hz:.3g} Hz"
