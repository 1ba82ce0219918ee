"""What a desk's strip can be asked for, read from its profile: seats for stems, and the values they land on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dsp.stereo import pan_gains
from hardware.known import Known
from hardware.rig import Insert, Rig
from profiles.profile import Control, Profile, Value

if TYPE_CHECKING:
    from controller.mix import EqBand
    from dsp.dynamics import Compressor
    from dsp.filters import Band

BANDS = ("lf", "lmf", "hmf", "hf")
SHELVES = ("lf", "hf")
SHELF_Q = math.sqrt(0.5)
Q_TOLERANCE = 0.02
"""How far the Q of the mix may be from one that the desk has fixed."""
FREQ_TOLERANCE = 0.01
"""A pot within 1 % of the wanted frequency or Q counts as standing right: it is what a hand can set by a scale."""
RATIO_TOLERANCE = 0.15
TIME_TOLERANCE = 1.5
"""How far an outboard compressor's nearest ratio (relative) and times (factor) may be from the mix's wish."""


def db_to_gain(level_db: float) -> float:
    """Return the linear gain of ``level_db`` [dB]; −∞ gives 0."""
    return 0.0 if level_db == -math.inf else 10.0 ** (level_db / 20.0)


def gain_to_db(gain: float) -> float:
    """Return 20·log10 of ``gain``; 0 gives −∞."""
    return -math.inf if gain <= 0.0 else 20.0 * math.log10(gain)


@dataclass(frozen=True)
class DeskStrip:
    """One strip of a console with the interface output that feeds it."""

    device: str
    prefix: str
    output: int
    pan_law_db: float
    profile: Profile
    strip: int

    @property
    def address(self) -> str:
        """``device/strip``, as the rig writes it."""
        return f"{self.device}/{self.prefix}"

    def control(self, role: str, band: str | None = None) -> Control | None:
        """Return the strip's control of that role (and equaliser band), or None."""
        number = BANDS.index(band) + 1 if band else None
        return self.profile.control_for(role, strip=self.strip, band=number)

    @property
    def pan(self) -> Control | None:
        """The pan control, if the profile has one."""
        return self.control("pan")

    @property
    def mute(self) -> Control | None:
        """The mute control, if the profile has one."""
        return self.control("mute")

    def put(self, target: dict[str, Value], role: str, value: Value, band: str | None = None) -> None:
        """Write ``value``, as it will be reached, for the control of that role; nothing where there is none."""
        control = self.control(role, band)
        if control is not None:
            target[f"{self.device}/{control.name}"] = control.achieved(value)


def wired_strips(rig: Rig, profiles: Mapping[str, Profile]) -> list[DeskStrip]:
    """Return the console strips that interface outputs feed, in the order of the outputs."""
    strips = []
    for output, address in sorted(rig.outputs.items()):
        device, _, prefix = address.partition("/")
        profile = profiles.get(device)
        if profile is None:
            continue  # a cable that is only looped back needs no device
        number = next((c.strip for c in profile.controls.values() if c.name.startswith(prefix + "/")), None)
        if number is None or profile.control_for("fader", strip=number) is None:
            continue
        strips.append(DeskStrip(device, prefix, output, profile.audio.pan_law_db or -3.0, profile, number))
    return strips


def master_fader(rig: Rig, profiles: Mapping[str, Profile]) -> tuple[str, Control] | None:
    """Return address and control of the master fader of the desk that feeds the rig's returns."""
    for address in rig.returns.values():
        device = address.partition("/")[0]
        profile = profiles.get(device)
        control = profile.control_for("master_fader") if profile is not None else None
        if control is not None:
            return f"{device}/{control.name}", control
    return None


def return_inputs(rig: Rig) -> tuple[int, int]:
    """Return the interface inputs (from 1) of the left and the right mix return; both the same where there is one."""
    ordered = sorted(rig.returns.items(), key=lambda item: item[1])
    return ordered[0][0], ordered[-1][0]


def out_of_circuit(insert: Insert) -> dict[str, Value]:
    """Return the settings that take an insert out: the rig's own, else its switches off."""
    return dict(insert.bypass) or {address: False for address, value in insert.switch.items() if value is True}


def seat_neutral(strip: DeskStrip, target: dict[str, Value]) -> None:
    """Ask for everything of the strip that the box does instead to be out of the way: trim, filter, equaliser."""
    strip.put(target, "trim", 0.0)
    strip.put(target, "polarity", False)
    hpf = strip.control("hpf_freq")
    if hpf is not None and hpf.off is not None:
        strip.put(target, "hpf_freq", hpf.off)
    strip.put(target, "eq_in", False)


def set_level(strip: DeskStrip, target: dict[str, Value], *, fader_db: float, pan: float, muted: bool) -> None:
    """Ask for fader [dB], pan [−100..100] and mute of one strip."""
    strip.put(target, "fader", fader_db)
    strip.put(target, "pan", pan)
    strip.put(target, "mute", muted)


def fader_for(strip: DeskStrip, wanted_db: float) -> float:
    """Return the fader position [dB] nearest to ``wanted_db``; −∞ only when that was asked for."""
    control = strip.control("fader")
    assert control is not None  # noqa: S101 - wired_strips only returns strips with a fader
    if wanted_db == -math.inf:
        return -math.inf
    reached = float(control.achieved(min(max(wanted_db, control.low), control.high)))
    return reached if math.isfinite(reached) else float(control.from_raw(control.to_raw(control.low) + 1))


def pan_for(strip: DeskStrip, left: float, right: float) -> tuple[float, tuple[float, float]]:
    """Return the pan position whose ratio of left to right is nearest, and the desk's gains there.

    The position is found by the angle atan2(right, left), so a mix of another pan law than the desk's keeps
    its image; the level that differs is made up by the trim.
    """
    control = strip.pan
    law = strip.pan_law_db
    if control is None:
        return 0.0, pan_gains(0.0, law)
    wanted = math.atan2(right, left)
    low, high = control.to_raw(control.low), control.to_raw(control.high)
    positions = sorted({float(control.from_raw(raw)) for raw in range(min(low, high), max(low, high) + 1)})

    def miss(pan: float) -> float:
        gains = pan_gains(pan, law)
        return abs(math.atan2(gains[1], gains[0]) - wanted)

    best = min(positions, key=miss)
    return best, pan_gains(best, law)


def eq_obstacle(strip: DeskStrip, bands: Mapping[str, EqBand]) -> str:
    """Return why the strip's equaliser cannot be what the mix asks for; empty when it can."""
    if strip.control("eq_in") is None:
        return "the desk's profile has no equaliser"
    for name, band in bands.items():
        gain, freq, q = (strip.control(role, name) for role in ("eq_gain", "eq_freq", "eq_q"))
        if gain is None or freq is None:
            return f"the desk has no {name} band"
        if not gain.low <= band.gain_db <= gain.high:
            return f"{name} {band.gain_db:+.1f} dB is beyond the desk's {gain.low:+g}..{gain.high:+g} dB"
        if not freq.low <= band.freq_hz <= freq.high:
            return f"{name} {band.freq_hz:g} Hz is beyond the desk's {freq.low:g}..{freq.high:g} Hz"
        if q is None:
            obstacle = _fixed_q_obstacle(strip.profile, name, band.q)
            if obstacle:
                return obstacle
        elif not q.low <= band.q <= q.high:
            return f"{name} Q {band.q:g} is beyond the desk's {q.low:g}..{q.high:g}"
    return ""


def _fixed_q_obstacle(profile: Profile, name: str, wanted_q: float) -> str:
    """Return why a band that has no control for its Q is not the mix's; the equaliser stage says what Q it has."""
    stage = next((stage for stage in profile.audio.stages if stage.name == "eq"), None)
    declared = stage.parameters if stage is not None else {}
    is_shelf = name in SHELVES
    what = "shelf has a fixed slope" if is_shelf else "band has a fixed bandwidth"
    fixed = declared.get("shelf_q", SHELF_Q) if is_shelf else declared.get("bell_q")
    if not isinstance(fixed, int | float):
        return f"the desk's {name} {what}, and its profile does not say which; the mix asks for Q {wanted_q:g}"
    if abs(wanted_q - fixed) > Q_TOLERANCE:
        return f"the desk's {name} {what} (Q {fixed:.2g}), the mix asks for Q {wanted_q:g}"
    return ""


def _stands(device: str, control: Control, wanted: float, known: Mapping[str, Known]) -> bool:
    if not control.by_hand:
        return True
    fact = known.get(f"{device}/{control.name}")
    if fact is None or fact.how == "assumed" or isinstance(fact.value, str):
        return False
    return abs(fact.value - wanted) <= FREQ_TOLERANCE * max(abs(wanted), 1e-9)


def eq_stands(strip: DeskStrip, bands: Mapping[str, EqBand], known: Mapping[str, Known]) -> bool:
    """Tell whether every by-hand control the equaliser needs is known to stand where the mix wants it."""
    for name, band in bands.items():
        for role, wanted in (("eq_freq", band.freq_hz), ("eq_q", band.q)):
            control = strip.control(role, name)
            if control is not None and not _stands(strip.device, control, wanted, known):
                return False
    return True


def set_eq(
    strip: DeskStrip, target: dict[str, Value], bands: Mapping[str, EqBand], wanted: Sequence[Band]
) -> tuple[Band, ...]:
    """Ask for the strip's equaliser; return ``wanted`` with the gains the desk's steps reach."""
    strip.put(target, "eq_in", True)
    reached = []
    for name, setting in zip(bands, wanted, strict=True):
        gain = strip.control("eq_gain", name)
        assert gain is not None  # noqa: S101 - eq_obstacle() has been asked
        strip.put(target, "eq_gain", setting.gain_db, name)
        strip.put(target, "eq_freq", setting.freq_hz, name)
        strip.put(target, "eq_q", setting.q, name)
        reached.append(replace(setting, gain_db=float(gain.achieved(setting.gain_db))))
    for name in BANDS:
        if name not in bands:
            strip.put(target, "eq_gain", 0.0, name)
    return tuple(reached)


def hpf_obstacle(strip: DeskStrip, hpf_hz: float) -> str:
    """Return why the strip's high-pass cannot be what the mix asks for; empty when it can."""
    control = strip.control("hpf_freq")
    if control is None:
        return "the desk's profile has no high-pass filter"
    if not control.low <= hpf_hz <= control.high:
        return f"{hpf_hz:g} Hz is beyond the desk's {control.low:g}..{control.high:g} Hz"
    return ""


def hpf_stands(strip: DeskStrip, hpf_hz: float, known: Mapping[str, Known]) -> bool:
    """Tell whether the strip's high-pass is known to stand at ``hpf_hz``."""
    control = strip.control("hpf_freq")
    return control is not None and _stands(strip.device, control, hpf_hz, known)


def set_hpf(strip: DeskStrip, target: dict[str, Value], hpf_hz: float) -> None:
    """Ask for the strip's high-pass filter."""
    strip.put(target, "hpf_freq", hpf_hz)


def fit_compressor(
    profile: Profile, wanted: Compressor, dbu_at_0dbfs: float
) -> tuple[Compressor, dict[str, Value]] | str:
    """Return the nearest setting of an outboard compressor and what the box must copy, or why it does not fit.

    Thresholds travel from dBFS to dBu by the rig's reference level; one that is in dB of its own has no place in dBFS.
    """
    from dsp.dynamics import Compressor as Settings

    controls = {role: profile.control_for(role) for role in ("threshold", "ratio", "attack", "release", "makeup")}
    if any(control is None for control in controls.values()):
        return f"{profile.id} lacks a compressor's controls"
    threshold = controls["threshold"]
    if threshold is not None and threshold.unit != "dBu":
        return f"the threshold of {profile.id} is in {threshold.unit}: nobody knows what level in dBu that is"
    wishes = {
        "threshold": wanted.threshold_db + dbu_at_0dbfs,
        "ratio": wanted.ratio,
        "attack": wanted.attack_ms,
        "release": wanted.release_ms,
        "makeup": wanted.makeup_db,
    }
    reached: dict[str, float] = {}
    settings: dict[str, Value] = {}
    for role, wish in wishes.items():
        control = controls[role]
        assert control is not None  # noqa: S101 - checked above
        if control.choices:
            choice = _nearest_choice(control, wish)
            if choice is None:
                return f"no position of its {role} is a number near {wish:g}"
            reached[role], settings[control.name] = choice
        elif not control.low <= wish <= control.high:
            return f"{role} {wish:g} {control.unit} is beyond its {control.low:g}..{control.high:g}"
        else:
            value = control.achieved(wish)
            reached[role], settings[control.name] = float(value), value
    if abs(reached["ratio"] / wanted.ratio - 1.0) > RATIO_TOLERANCE:
        return f"its nearest ratio is {reached['ratio']:g}:1, the mix asks for {wanted.ratio:g}:1"
    for role, wish in (("attack", wanted.attack_ms), ("release", wanted.release_ms)):
        if not 1 / TIME_TOLERANCE <= reached[role] / wish <= TIME_TOLERANCE:
            return f"its nearest {role} is {reached[role]:g} ms, the mix asks for {wish:g} ms"
    bypass = profile.control_for("bypass")
    if bypass is not None:
        settings[bypass.name] = False
    fitted: dict[str, Any] = {
        "threshold_db": reached["threshold"] - dbu_at_0dbfs,
        "ratio": reached["ratio"],
        "attack_ms": reached["attack"],
        "release_ms": reached["release"],
        "makeup_db": reached["makeup"],
        "knee_db": wanted.knee_db,
    }
    return Settings(**fitted), settings


def _nearest_choice(control: Control, wish: float) -> tuple[float, Value] | None:
    """Find the position whose number is nearest: levels [dB] by their difference, ratios and times by their ratio.

    Positions that are words, as ``auto``, are never nearest. None where a level lies beyond all positions, or no
    position is a number.
    """
    numbers = {choice: number for choice in control.choices if (number := _number(choice)) is not None}
    if control.unit in ("dB", "dBu"):
        if not numbers or not min(numbers.values()) <= wish <= max(numbers.values()):
            return None
        best = min(numbers, key=lambda choice: abs(numbers[choice] - wish))
    else:
        numbers = {choice: number for choice, number in numbers.items() if number > 0.0}
        if not numbers or wish <= 0.0:
            return None
        best = min(numbers, key=lambda choice: abs(math.log(numbers[choice] / wish)))
    return numbers[best], control.value_from_text(best)


def _number(choice: str) -> float | None:
    """Return the number a choice such as ``4:1`` or ``30 ms`` begins with (``0.3 s`` in ms); None for a word."""
    words = choice.replace(":", " ").split()
    try:
        number = float(words[0])
    except (ValueError, IndexError):
        return None
    if not math.isfinite(number):
        return None
    return number * 1000.0 if words[1:] == ["s"] else number
