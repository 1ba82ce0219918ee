"""The loops a rig has: which output should come back on which input, through a console strip or directly.

A console strip's output goes out through the desk's mix; its pan says on which side it returns. Anything else is a
direct loop: a cable from an output to a device and a cable back from the same place of the same device, as in a
converter loopback or an outboard insert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller import desk as desks
from controller.desk import DeskStrip
from controller.errors import UsageError
from controller.studio import Studio
from hardware.rig import Rig, split_address
from profiles.profile import Profile, Value


@dataclass(frozen=True)
class WiredLoop:
    """One output of the interface and the input it should come back on, as the rig's cables say.

    ``inputs`` are the inputs it can be sent to (left and right of the mix for a strip), the expected one first.
    """

    output: int
    address: str
    inputs: tuple[int, ...]
    strip: DeskStrip | None = None

    @property
    def expected(self) -> int:
        """The input it should come back on while the calibration sounds."""
        return self.inputs[0]

    @property
    def where(self) -> str:
        """The loop in words, as problems name it."""
        return f"output {self.output} → {self.address}"


@dataclass(frozen=True)
class Wiring:
    """All loops of a rig, in the order of their outputs, and the pan patterns that tell its strips apart.

    A pattern holds one side for every strip that returns through the mix: 0 hard left, 1 hard right.
    """

    loops: tuple[WiredLoop, ...]
    patterns: tuple[tuple[int, ...], ...]
    mix: tuple[int, int]
    """Inputs of the left and right mix return; (0, 0) where no strip returns through a mix."""
    unmatched: tuple[str, ...] = ()
    """Outputs that are wired to something that never comes back, in words."""

    @property
    def panned(self) -> tuple[WiredLoop, ...]:
        """The loops that return through the desk's mix."""
        return tuple(loop for loop in self.loops if loop.strip is not None)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The outputs that sound, from 1."""
        return tuple(loop.output for loop in self.loops)

    def rounds(self) -> tuple[tuple[WiredLoop, ...], ...]:
        """Group the loops so that no two of a round share an input: one tone per return at a time."""
        rounds: list[list[WiredLoop]] = []
        for loop in self.loops:
            free = next((r for r in rounds if all(other.expected != loop.expected for other in r)), None)
            if free is None:
                rounds.append([loop])
            else:
                free.append(loop)
        return tuple(map(tuple, rounds))

    @property
    def most_on_one_input(self) -> int:
        """How many outputs sum into the fullest return."""
        inputs = [loop.expected for loop in self.loops]
        return max((inputs.count(one) for one in set(inputs)), default=1)


def wiring(rig: Rig, profiles: Mapping[str, Profile]) -> Wiring:
    """Return the loops of ``rig``.

    Raises
    ------
    UsageError
        No output of the rig comes back on any input.
    """
    strips = {strip.output: strip for strip in desks.wired_strips(rig, profiles)}
    loops: list[WiredLoop] = []
    unmatched: list[str] = []
    back = {output: _return_of(rig, address) for output, address in rig.outputs.items()}
    mix = _mix_inputs(rig, strips.values(), {found for found in back.values() if found})
    side = 0
    for output, address in sorted(rig.outputs.items()):
        strip, direct = strips.get(output), back[output]
        if direct:
            loops.append(WiredLoop(output, address, (direct,)))
        elif strip is not None and mix != (0, 0):
            loops.append(WiredLoop(output, address, (mix[side], mix[1 - side]), strip))
            side = 1 - side
        else:
            unmatched.append(f"output {output} feeds {address}, and nothing of it comes back")
    if not loops:
        raise UsageError(
            f"No output of the rig {rig.name!r} comes back on an input.",
            hint="A loop needs a [[wire]] to a console strip whose mix returns, or a [[wire]] to and a [[return]] "
            'from the same place of one device, as to = "loopback/1-8" and from = "loopback/1-8".',
        )
    panned = [loop.strip for loop in loops if loop.strip is not None]
    return Wiring(tuple(loops), _patterns(panned), mix, tuple(unmatched))


def neutral(studio: Studio, found: Wiring) -> dict[str, Value]:
    """Return the state a calibration measures: faders at 0 dB, the rest out of the way, inserts out of circuit."""
    target: dict[str, Value] = {}
    for strip in desks.wired_strips(studio.rig, studio.profiles):
        if strip.output in found.outputs:
            desks.seat_neutral(strip, target)
            strip.put(target, "fader", 0.0)
            strip.put(target, "mute", False)
    if found.panned:
        target.update(pans(found, 0))
    master = desks.master_fader(studio.rig, studio.profiles)
    if master is not None:
        target[master[0]] = float(master[1].achieved(0.0))
    for insert in studio.rig.inserts:
        target.update(desks.out_of_circuit(insert))
    return target


def pans(found: Wiring, pattern: int) -> dict[str, Value]:
    """Return the pans of pattern number ``pattern``."""
    target: dict[str, Value] = {}
    for loop, side in zip(found.panned, found.patterns[pattern], strict=True):
        if loop.strip is not None:
            loop.strip.put(target, "pan", 100.0 if side else -100.0)
    return target


def _patterns(strips: Sequence[DeskStrip]) -> tuple[tuple[int, ...], ...]:
    """One pan pattern a bit of the strip's index. Enough bits to tell all apart; one where pans cannot be sent."""
    if not strips:
        return ()
    parity = tuple(index & 1 for index in range(len(strips)))
    if any(strip.pan is None or strip.pan.by_hand for strip in strips):
        return (parity,)
    bits = max(1, (len(strips) - 1).bit_length())
    return tuple(tuple(index >> bit & 1 for index in range(len(strips))) for bit in range(bits))


def _return_of(rig: Rig, address: str) -> int:
    """Return the input on which a place of a device comes back: by its whole address, else by the address's tail."""
    exact = [number for number, back in rig.returns.items() if back == address]
    if exact:
        return exact[0]
    device, place = split_address(address)
    tail = place.rpartition("/")[2]
    near = [
        number
        for number, back in rig.returns.items()
        if split_address(back)[0] == device and back.rpartition("/")[2] == tail
    ]
    return near[0] if len(near) == 1 else 0


def _mix_inputs(rig: Rig, strips: Iterable[DeskStrip], taken: set[int]) -> tuple[int, int]:
    devices = {strip.device for strip in strips}
    if not devices:
        return 0, 0
    free = {number: address for number, address in rig.returns.items() if number not in taken}
    own = {number: address for number, address in free.items() if split_address(address)[0] in devices} or free
    ordered = sorted(own.items(), key=lambda item: item[1])
    return (ordered[0][0], ordered[-1][0]) if ordered else (0, 0)
