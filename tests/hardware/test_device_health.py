"""A device is asked who it is, whether it lives, where one control stands; nothing else is sent, nobody waits."""

from __future__ import annotations

from pathlib import Path

import pytest
from health_doubles import (
    ASK_ALIVE,
    ASK_IDENTITY,
    ASK_LEVEL,
    CONTROL,
    IDENTITY,
    KEEP_ALIVE,
    OPEN,
    QUERY,
    REFUSALS,
    SESSION,
    Unit,
    profile,
)
from recall_doubles import WiredDevice

from hardware.device_health import Health, ask_health
from hardware.ports.shared import SharedPort
from hardware.seams import VirtualClock
from profiles.profile import Profile

EVERYTHING = (IDENTITY, KEEP_ALIVE, CONTROL, QUERY)


class Bench:
    """Devices on wires of their own, one virtual clock; moments are told in its seconds."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.wires: dict[str, WiredDevice] = {}
        self.profiles: dict[str, Profile] = {}
        self._folder = folder

    def add(self, name: str, unit: Unit, *tables: str) -> WiredDevice:
        self.profiles[name] = profile(self._folder, *tables, name=name)
        self.wires[name] = WiredDevice(self.clock, unit.respond, name=name)
        return self.wires[name]

    def ask(self, *, only_identity: bool = False) -> dict[str, Health]:
        return ask_health(
            self.profiles,
            self.wires,
            self.clock,
            only_identity=only_identity,
            timestamp=lambda: f"{self.clock.monotonic():.4f}",
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def kinds(health: Health) -> list[str]:
    return [trouble.kind for trouble in health.troubles]


def test_a_device_that_says_who_it_is_is_asked_nothing_else(bench: Bench) -> None:
    wire = bench.add("unit", Unit(identity=(5, 12), alive=True, level=64), *EVERYTHING)
    health = bench.ask()["unit"]
    assert health.present == "yes"
    assert health.identity is not None
    assert health.identity.profile == "unit"
    assert dict(health.identity.fields) == {"model": 5, "firmware": 12}
    assert health.heard_at is not None
    assert not health.troubles
    assert wire.messages == [ASK_IDENTITY]


def test_a_sign_of_life_is_enough_where_there_is_no_identity(bench: Bench) -> None:
    wire = bench.add("unit", Unit(alive=True, level=64), KEEP_ALIVE, CONTROL, QUERY)
    health = bench.ask()["unit"]
    assert (health.present, health.identity, health.troubles) == ("yes", None, ())
    assert wire.messages == [ASK_ALIVE]


def test_one_control_is_asked_where_there_is_nothing_else(bench: Bench) -> None:
    wire = bench.add("unit", Unit(level=64), CONTROL, QUERY)
    assert bench.ask()["unit"].present == "yes"
    assert wire.messages == [ASK_LEVEL]


def test_gear_that_never_answers_is_unknown_and_is_sent_nothing(bench: Bench) -> None:
    wire = bench.add("unit", Unit(), CONTROL)
    assert bench.ask()["unit"] == Health("unknown")
    assert wire.messages == []


def test_a_silent_device_is_asked_every_way_and_then_missing(bench: Bench) -> None:
    wire = bench.add("unit", Unit(), *EVERYTHING)
    health = bench.ask()["unit"]
    assert (health.present, health.heard_at) == ("no", None)
    assert kinds(health) == ["silent"] * 3
    assert health.troubles[0].what == "did not answer its identity query within 0.5 s."
    assert health.troubles[2].what == "did not answer within 0.5 s, asked for level."
    assert wire.messages == [ASK_IDENTITY] * 2 + [ASK_ALIVE] * 2 + [ASK_LEVEL] * 2, "each again, as the profile allows"


def test_a_device_that_answers_but_not_who_it_is_is_there_with_a_trouble(bench: Bench) -> None:
    bench.add("unit", Unit(level=64), *EVERYTHING)
    health = bench.ask()["unit"]
    assert health.present == "yes"
    assert "silent" in kinds(health)


def test_only_the_identity_is_asked_when_that_is_what_counts(bench: Bench) -> None:
    wire = bench.add("unit", Unit(level=64), *EVERYTHING)
    health = bench.ask(only_identity=True)["unit"]
    assert (health.present, kinds(health)) == ("no", ["silent"])
    assert set(wire.messages) == {ASK_IDENTITY}


def test_a_refusal_is_an_answer_and_a_trouble(bench: Bench) -> None:
    unit = Unit(identity=(5, 12))
    unit.refuses = {ASK_IDENTITY, ASK_LEVEL}
    bench.add("unit", unit, IDENTITY, REFUSALS, CONTROL)
    health = bench.ask()["unit"]
    assert (health.present, kinds(health)) == ("yes", ["refused"])
    assert "busy" in health.troubles[0].what


@pytest.mark.parametrize("tables", [(IDENTITY,), (CONTROL, QUERY)])
def test_nonsense_is_told_as_such(bench: Bench, tables: tuple[str, ...]) -> None:
    unit = Unit()
    unit.babbles = True
    bench.add("unit", unit, *tables)
    health = bench.ask()["unit"]
    assert (health.present, kinds(health)) == ("yes", ["garbled"])
    assert "F0 7C 55 F7" in health.troubles[0].what


def test_a_session_is_begun_before_anything_is_asked(bench: Bench) -> None:
    wire = bench.add("unit", Unit(identity=(5, 12)), SESSION, IDENTITY)
    assert bench.ask()["unit"].present == "yes"
    assert wire.messages == [OPEN, ASK_IDENTITY]


def test_a_session_that_is_answered_is_a_sign_of_life_and_one_that_is_not_a_trouble(bench: Bench) -> None:
    bench.add("there", Unit(), SESSION)
    gone = Unit()
    bench.add("gone", gone, SESSION)
    gone.mute = True
    found = bench.ask()
    assert (found["there"].present, found["there"].troubles) == ("yes", ())
    assert (found["gone"].present, kinds(found["gone"])) == ("no", ["silent"])
    assert "session" in found["gone"].troubles[0].what


def test_a_silent_device_delays_no_other(bench: Bench) -> None:
    bench.add("silent", Unit(), *EVERYTHING)
    bench.add("quick", Unit(identity=(5, 12)), IDENTITY)
    bench.add("level", Unit(level=3), CONTROL, QUERY)
    found = bench.ask()
    assert found["silent"].present == "no"
    # 6 bytes out, 10 back at 0.32 ms each are 5.1 ms; the silent one takes six timeouts of 0.5 s.
    assert float(found["quick"].heard_at or "9") < 0.02
    assert float(found["level"].heard_at or "9") < 0.02
    assert bench.clock.monotonic() == pytest.approx(3.0, abs=0.1)


def test_a_port_that_vanished_stops_its_device_alone(bench: Bench) -> None:
    bench.add("gone", Unit(identity=(1, 1)), IDENTITY).vanish_after = 0
    bench.add("there", Unit(identity=(5, 12)), IDENTITY)
    found = bench.ask()
    assert (found["gone"].present, kinds(found["gone"])) == ("no", ["port"])
    assert "lost its port" in found["gone"].troubles[0].what
    assert found["there"].present == "yes"


def test_devices_on_one_wire_are_asked_in_turn_so_that_an_answer_counts_for_one(bench: Bench, tmp_path: Path) -> None:
    """The first answers the universal inquiry, the second is switched off: it must not live by the first's answer."""
    clock = bench.clock
    answers = iter([Unit(identity=(5, 12)).respond])
    silent = Unit().respond
    wire = WiredDevice(clock, lambda data: next(answers, silent)(data))
    shared = SharedPort(lambda: wire)
    both = {name: profile(tmp_path, IDENTITY, name=name) for name in ("first", "second")}
    found = ask_health(both, {name: shared.tap(name) for name in both}, clock)
    assert found["first"].present == "yes"
    assert (found["second"].present, kinds(found["second"])) == ("no", ["silent"])
    assert wire.messages == [ASK_IDENTITY] * 3
