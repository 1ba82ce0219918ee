"""Inserts, sends, busses and VCAs in a mix file: read, checked with file, line and key, and written back the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ControllerError, MixError
from controller.mix import AddedBus, Bus, Insert, Mix, Move, Send, Strip, Vca, load_mix, write_mix

TEXT = """\
schema = 1
name = "busses"

[[strip]]
name = "kick"
stem = "kick.wav"
output = "drums"
vca = "band"

[[strip.insert]]
kind = "advance"
advance_ms = 1.5
at = "pre"

[[strip.insert]]
kind = "trim"
gain_db = -3
key = "vox"

[[strip.send]]
to = "crush"
level_db = -6
at = "pre"

[[strip]]
name = "vox"
stem = "vox.wav"
solo_safe = true

[[bus.insert]]
kind = "trim"
polarity = "inverted"
on = false

[bus]
fader_db = -1

[[busses]]
name = "drums"
fader_db = -2
vca = "band"

[[busses.insert]]
kind = "trim"

[[busses.send]]
to = "reverb"
level_db = "off"

[[busses]]
name = "crush"
pan = 10

[[busses]]
name = "no vox"
minus = "vox"

[[vca]]
name = "band"
fader_db = 3

[[move]]
strip = "kick"
what = "insert/2/gain_db"
points = [[0, -3], [10, 0]]

[[move]]
strip = "kick"
what = "send/crush"
points = [[0, "off"], [10, 0]]

[[move]]
strip = "band"
what = "fader_db"
points = [[0, 0]]
"""


@pytest.fixture
def mix_file(tmp_path):
    def load(old=None, new=""):
        assert old is None or TEXT.count(old) == 1, old
        path = tmp_path / "mix-1.toml"
        path.write_text(TEXT.replace(old, new) if old else TEXT, encoding="utf-8")
        return load_mix(path)

    return load


def test_a_mix_with_busses_is_read_with_defaults_filled_in(mix_file) -> None:
    mix = mix_file()
    kick, vox = mix.strips
    assert kick.inserts[0] == Insert(kind="advance", at="pre", settings={"advance_ms": 1.5})
    assert kick.inserts[1].settings == {"gain_db": -3.0, "polarity": "normal"}
    assert (kick.inserts[1].at, kick.inserts[1].key, kick.inserts[1].on) == ("post", "vox", True)
    assert kick.sends == (Send(to="crush", level_db=-6.0, at="pre"),)
    assert (kick.output, vox.output, vox.solo_safe) == ("drums", "bus", True)
    assert not mix.bus.inserts[0].on
    assert [(bus.name, bus.output) for bus in mix.busses] == [("drums", "bus"), ("crush", "bus"), ("no vox", "none")]
    assert mix.busses[0].sends[0].level_db == -math.inf
    assert mix.vcas == (Vca(name="band", fader_db=3.0),)
    assert mix.moves[0].points == ((0.0, -3.0), (10.0, 0.0))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "advance"', 'kind = "advanced"', 'line 11: strip "kick": insert 1: kind = "advanced" is unknown, did'),
        ("advance_ms = 1.5", "advance_ms = 150", 'line 12: strip "kick": insert 1: advance_ms = 150 is outside 0..100'),
        (
            "advance_ms = 1.5",
            "advance = 1",
            'strip "kick": insert 1: unknown key "advance", did you mean "advance_ms"?',
        ),
        ("advance_ms = 1.5", "settings = 1", 'line 12: strip "kick": insert 1: unknown key "settings"'),
        ("gain_db = -3", 'gain_db = "loud"', 'insert 2: gain_db = "loud" must be a number, -60..24 dB'),
        ("gain_db = -3", 'gain_db = "off"', 'insert 2: gain_db = "off" must be a number, -60..24 dB'),
        ('"inverted"', '"invert"', 'bus.insert 1: polarity = "invert" is unknown, did you mean "inverted"?'),
        ('1.5\nat = "pre"', '1.5\nat = "front"', 'line 13: strip "kick": insert 1: at = "front" is unknown (known: '),
        ("on = false", "on = 0", "bus.insert 1: on = 0 must be true or false"),
        (
            'key = "vox"',
            'key = "vix"',
            'line 18: strip "kick": insert 2: key = "vix" is no strip or bus, did you mean "v',
        ),
        ('key = "vox"', 'key = "kick"', 'strip "kick": feeds itself: kick → kick'),
        ('key = "vox"', 'key = "drums"', "feeds itself: "),
        (
            'output = "drums"',
            'output = "drum"',
            'line 7: strip "kick": output = "drum" is no bus, did you mean "drums"?',
        ),
        ('output = "drums"', 'output = "main"', 'strip "kick": output = "main" is no bus, did you mean "bus"?'),
        ('output = "drums"', 'output = "none"', 'strip "kick": output = "none" is no bus'),
        ('to = "crush"', 'to = "crsh"', 'line 21: strip "kick": send 1: to = "crsh" is no bus, did you mean "crush"?'),
        ("level_db = -6", "level_db = 20", 'send 1: level_db = 20 is outside -120..12 dB or "off"'),
        ('name = "band"', 'name = "bond"', 'strip "kick": vca = "band" is no VCA, did you mean "bond"?'),
        ('name = "band"', 'name = "bus"', '= "bus" is used twice'),
        ('name = "drums"', 'name = "vox"', 'line 39: bus "vox": name = "vox" is used twice'),
        ('name = "drums"', 'name = "reverb"', 'bus "reverb": name = "reverb" is what this program calls a bus of its'),
        (
            'level_db = "off"',
            'level_db = "off"\n[[busses.send]]\nto = "reverb"',
            'bus "drums": send 2: to = "reverb" is sent to twice',
        ),
        ("pan = 10", "panorama = 10", 'bus "crush": unknown key "panorama", did you mean "pan"?'),
        ("pan = 10", 'output = "crush"', 'bus "crush": feeds itself: crush → crush'),
        ('minus = "vox"', 'minus = "kick"', 'bus "no vox": minus = "kick" goes through bus "drums"; leave that bus'),
        ("insert/2/gain_db", "insert/3/gain_db", 'move 1: what = "insert/3/gain_db": kick has 2 inserts, counted from'),
        ("insert/2/gain_db", "insert/2/gain", 'what = "insert/2/gain": trim has no gain, did you mean "gain_db"?'),
        ("insert/2/gain_db", "insert/2/polarity", "the polarity of trim is no number, and stands still"),
        ("[[0, -3], [10, 0]]", "[[0, -3], [10, 30]]", "move 1: points = 30 is outside -60..24 dB"),
        ("send/crush", "send/drums", 'move 2: what = "send/drums": kick has no such send'),
        ('strip = "band"\nwhat = "fader_db"', 'strip = "band"\nwhat = "pan"', "a VCA has fader_db and mute only"),
    ],
)
def test_a_mistake_is_one_sentence_with_line_and_key(mix_file, old, new, said) -> None:
    with pytest.raises(MixError) as caught:
        mix_file(old, new)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


BANDS = """\
schema = 1
name = "bands"

[[strip]]
name = "vox"
stem = "vox.wav"

[[strip.insert]]
kind = "eq"
bands = [
  { kind = "high_pass", freq_hz = 80, db_per_octave = 24 },
  { freq_hz = 3000, gain_db = 2.5 },
]

[[move]]
strip = "vox"
what = "insert/1/bands/2/gain_db"
points = [[0, 0], [10, 6]]
"""


def test_an_insert_with_a_list_of_bands_is_read_written_and_moved_by_their_numbers(tmp_path) -> None:
    path = tmp_path / "mix-1.toml"
    path.write_text(BANDS)
    mix = load_mix(path)
    (insert,) = mix.strips[0].inserts
    assert [band.freq_hz for band in insert.effect().bands] == [80.0, 3000.0]
    assert insert.effect().bands[0].db_per_octave == 24
    assert insert.parameter("bands/2/gain_db")[0] == "bands/1/gain_db"
    write_mix(mix, tmp_path / "mix-2.toml")
    assert load_mix(tmp_path / "mix-2.toml") == mix


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gain_db = 2.5", "gain_db = 250", "insert 1: band 2: gain_db = 250 is outside -40..40 dB"),
        ("gain_db = 2.5", "gain = 2", 'insert 1: band 2: unknown key "gain", did you mean "gain_db"?'),
        ('"high_pass"', '"highpass"', 'insert 1: band 1: kind = "highpass" is unknown, did you mean "high_pass"?'),
        ("db_per_octave = 24", "db_per_octave = 25", "band 1: db_per_octave = 25 is unknown"),
        ("/bands/2/", "/bands/3/", 'eq has no bands/3/gain_db, did you mean "bands/2/gain_db"?'),
        ("/bands/2/", "/bands/0/", "eq has no bands/0/gain_db"),
    ],
)
def test_a_mistake_in_a_list_is_named_by_its_place(tmp_path, old, new, said) -> None:
    path = tmp_path / "mix-1.toml"
    assert BANDS.count(old) == 1
    path.write_text(BANDS.replace(old, new))
    with pytest.raises(MixError) as caught:
        load_mix(path)
    assert said in str(caught.value)


def test_a_circle_of_busses_is_named() -> None:
    busses = (AddedBus(name="a", output="b"), AddedBus(name="b", sends=(Send(to="a"),)))
    with pytest.raises(ControllerError, match=r"feeds itself: (a → b → a|b → a → b)"):
        Mix(name="m", busses=busses)


def test_an_old_strip_may_bear_the_name_of_a_bus() -> None:
    mix = Mix(name="m", strips=(Strip(name="bus", stem="a.wav", send_db=0.0), Strip(name="reverb", stem="b.wav")))
    assert [mix.is_heard(strip) for strip in mix.strips] == [True, True]
    keyed = Strip(name="x", stem="x.wav", inserts=(Insert(kind="trim", key="reverb"),))
    with pytest.raises(ControllerError, match="both a strip and a bus"):
        Mix(name="m", strips=(*mix.strips, keyed))


numbers = st.floats(-60, 12)
inserts = st.lists(
    st.builds(
        Insert,
        kind=st.just("trim"),
        at=st.sampled_from(["pre", "post"]),
        on=st.booleans(),
        key=st.sampled_from(["", "b"]),
        settings=st.fixed_dictionaries({}, optional={"gain_db": numbers, "polarity": st.sampled_from(["inverted"])}),
    ),
    max_size=3,
).map(tuple)


@st.composite
def mixes(draw):
    strip = Strip(
        name="a", stem="a.wav", inserts=draw(inserts), output=draw(st.sampled_from(["bus", "group"])),
        sends=draw(st.sampled_from([(), (Send(to="group", level_db=-math.inf, at="pre"), Send(to="reverb"))])),
        vca=draw(st.sampled_from(["", "all"])), solo_safe=draw(st.booleans()),
    )  # fmt: skip
    group = AddedBus(
        name="group", inserts=draw(inserts), pan=draw(st.floats(-100, 100)), fader_db=draw(numbers),
        solo=draw(st.booleans()), minus=draw(st.sampled_from(["", "b"])), vca=draw(st.sampled_from(["", "all"])),
    )  # fmt: skip
    return Mix(
        name="m", strips=(strip, Strip(name="b", stem="b.wav")), busses=(group,), panning="lcr",
        bus=Bus(inserts=draw(inserts)), vcas=(Vca(name="all", fader_db=draw(numbers)),),
        moves=(Move(strip="group", what="pan", points=[[0, draw(st.floats(-100, 100))]]),),
    )  # fmt: skip


@given(mixes())
@settings(max_examples=40, deadline=None)
def test_a_written_mix_reads_back_the_same(tmp_path_factory, mix) -> None:
    path = tmp_path_factory.mktemp("m") / "mix-1.toml"
    write_mix(mix, path)
    assert load_mix(path) == mix
