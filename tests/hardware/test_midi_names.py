"""Which port a name means: exact beats partial, the system's numbers do not count, ambiguity is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import PortNotFoundError
from hardware.ports.midi_names import NoSuchPortError, match_port

ALSA = [
    "Midi Through:Midi Through Port-0 14:0",
    "UM-ONE:UM-ONE MIDI 1 20:0",
    "UM-2:UM-2 MIDI 1 24:0",
    "UM-2:UM-2 MIDI 2 24:1",
]
JACK = ["HalfnormalRoom desk:in", "HalfnormalRoom comp:in", "a2j:UM-ONE [20] (playback): UM-ONE MIDI 1"]
WINDOWS = ["Microsoft GS Wavetable Synth 0", "UM-ONE 1", "2- UM-2 2"]


@pytest.mark.parametrize(
    ("name", "there", "means"),
    [
        ("HalfnormalRoom desk:in", JACK, 0),
        ("HalfnormalRoom comp", JACK, 1),
        ("comp", JACK, 1),
        ("a2j:UM-ONE [32] (playback): UM-ONE MIDI 1", JACK, 2),
        ("UM-ONE:UM-ONE MIDI 1 32:0", ALSA, 1),
        ("UM-ONE:UM-ONE MIDI 1", ALSA, 1),
        ("UM-ONE", ALSA, 1),
        ("um-2 midi 2", ALSA, 3),
        ("UM-2:UM-2 MIDI 1 20:0", ALSA, 2),  # another port has that number now
    ],
)
def test_a_name_finds_its_port_whatever_the_numbers(name: str, there: list[str], means: int) -> None:
    assert match_port(name, there, "output") == there[means]


@pytest.mark.parametrize(
    ("name", "means"), [("UM-ONE", 1), ("UM-ONE 7", 1), ("2- UM-ONE 7", 1), ("UM-2", 2), ("UM-2 0", 2), ("3- UM-2", 2)]
)
def test_windows_counts_ports_and_sockets(name: str, means: int) -> None:
    assert match_port(name, WINDOWS, "output", counted=True) == WINDOWS[means]


def test_elsewhere_a_number_at_the_end_is_part_of_the_name() -> None:
    with pytest.raises(NoSuchPortError):
        match_port("Desk MIDI 1", ["Desk MIDI 2"], "output")


def test_two_of_a_kind_are_ambiguous_unless_one_is_named_whole() -> None:
    twins = ["UM-ONE:UM-ONE MIDI 1 20:0", "UM-ONE:UM-ONE MIDI 1 24:0"]
    for name in ("UM-ONE", "UM-ONE:UM-ONE MIDI 1", "UM-ONE:UM-ONE MIDI 1 28:0"):
        with pytest.raises(PortNotFoundError, match=r'more than one MIDI output: ".* 20:0", ".* 24:0"') as caught:
            match_port(name, twins, "output")
        assert not isinstance(caught.value, NoSuchPortError)
    assert match_port(twins[1], twins, "output") == twins[1]


def test_a_missing_port_lists_what_there_is() -> None:
    with pytest.raises(NoSuchPortError, match=r'No MIDI input "SSL". There are: "HalfnormalRoom desk:in", '):
        match_port("SSL", JACK, "input")
    with pytest.raises(NoSuchPortError, match="There are: none"):
        match_port("SSL", [], "input")


@given(st.lists(st.text(min_size=1), unique=True, max_size=5), st.data(), st.booleans())
def test_a_whole_name_always_means_its_own_port(there: list[str], data: st.DataObject, counted: bool) -> None:
    if there:
        name = data.draw(st.sampled_from(there))
        assert match_port(name, there, "output", counted=counted) == name


@given(st.text(), st.lists(st.text(), max_size=5), st.booleans())
def test_any_name_finds_a_port_or_says_why_not(name: str, there: list[str], counted: bool) -> None:
    try:
        assert match_port(name, there, "output", counted=counted) in there
    except PortNotFoundError as error:
        assert str(error)
