from __future__ import annotations

import math
import tomllib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ControllerError, MixError, ReadOnlyError, exit_code
from controller.mix import (
    BAND_HZ,
    BUS_STAGES,
    STRIP_STAGES,
    Bus,
    Comp,
    EqBand,
    Mix,
    Reverb,
    Strip,
    load_mix,
    save_new_mix,
    write_mix,
)
from controller.mixtext import mix_text
from controller.tomlfile import line_of


def numbers(kind, skip=()):
    def of(allowed):
        inside = st.floats(allowed.low, allowed.high)
        return inside | st.just(-math.inf) if allowed.off else inside

    return {key: of(allowed) for key, allowed in kind.ranges.items() if key not in skip}


@st.composite
def eqs(draw):
    return {
        name: EqBand(
            freq_hz=draw(st.floats(allowed.low, allowed.high)),
            gain_db=draw(st.floats(-18, 18)),
            q=draw(st.floats(0.1, 10)),
        )
        for name, allowed in BAND_HZ.items()
    }


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\"), min_size=1, max_size=12).filter(
    lambda text: text.strip()
)
comps = st.builds(Comp, on=st.booleans(), **numbers(Comp))
strips = st.builds(
    Strip,
    name=words,
    stem=words,
    polarity=st.sampled_from(["normal", "inverted"]),
    eq=eqs(),
    comp=comps,
    mute=st.booleans(),
    solo=st.booleans(),
    place=st.dictionaries(st.sampled_from(STRIP_STAGES), words, max_size=3),
    **numbers(Strip),
)
mixes = st.builds(
    Mix,
    name=words,
    pan_law_db=st.sampled_from([-2.5, -3.0, -4.5, -6.0]),
    strips=st.lists(strips, max_size=4, unique_by=lambda s: s.name.casefold()).map(tuple),
    bus=st.builds(
        Bus,
        eq=eqs(),
        comp=comps,
        place=st.dictionaries(st.sampled_from(BUS_STAGES), words, max_size=2),
        **numbers(Bus),
    ),
    reverb=st.builds(Reverb, **numbers(Reverb)),
)


@given(mixes)
@settings(max_examples=60, deadline=None)
def test_a_written_mix_reads_back_the_same(tmp_path_factory, mix):
    path = tmp_path_factory.mktemp("m") / "mix-1.toml"
    write_mix(mix, path)
    back = load_mix(path)
    assert back == mix
    assert back.path == path


HAND_WRITTEN = """\
schema = 1
name = "by hand"

[[strip]]
name = "lead"
stem = "lead.wav"
fader_db = -6
hpf_hz = 80
pan = -30

[strip.eq]
hmf = { freq_hz = 3000, gain_db = 2.5 }

[[strip]]
name = "pad"
stem = "pad.wav"
fader_db = "off"
send_db = -12.5
place = { eq = "box" }

[bus]
fader_db = -1
"""


@pytest.fixture
def hand_written(tmp_path):
    def load(old=None, new="", text=HAND_WRITTEN):
        assert old is None or text.count(old) == 1
        path = tmp_path / "mix-1.toml"
        path.write_text(text.replace(old, new) if old else text, encoding="utf-8")
        return load_mix(path)

    return load


def test_a_short_mix_written_by_hand_is_enough(hand_written):
    mix = hand_written()
    lead, pad = mix.strips
    assert (mix.pan_law_db, lead.fader_db, lead.hpf_hz, lead.pan) == (-3.0, -6.0, 80.0, -30.0)
    assert lead.send_db == -math.inf
    assert list(lead.eq) == ["lf", "lmf", "hmf", "hf"]
    assert (lead.eq["hmf"].freq_hz, lead.eq["hmf"].gain_db, lead.eq["lf"].gain_db) == (3000.0, 2.5, 0.0)
    assert (pad.fader_db, pad.hpf_hz, pad.send_db) == (-math.inf, -math.inf, -12.5)
    assert pad.place == {"eq": "box"}
    assert not lead.comp.on
    assert mix.bus.fader_db == -1.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gain_db = 2.5", "gain_db = 40", 'line 12: strip "lead": eq.hmf.gain_db = 40 is outside -18..18 dB'),
        ("freq_hz = 3000", "freq_hz = 20", 'line 12: strip "lead": eq.hmf.freq_hz = 20 is outside 200..15000 Hz'),
        ("pan = -30", "gain = 3", 'line 9: strip "lead": unknown key "gain", did you mean "fader_db"?'),
        ("pan = -30", "fader_hz = 3", 'line 9: strip "lead": unknown key "fader_hz", did you mean "fader_db"?'),
        ("pan = -30", "phase = true", 'line 9: strip "lead": unknown key "phase", did you mean "polarity"?'),
        ("pan = -30", "pan = 101", 'line 9: strip "lead": pan = 101 is outside -100..100'),
        ("pan = -30", "pan = nan", 'line 9: strip "lead": pan = nan is outside -100..100'),
        ("pan = -30", 'pan = "left"', 'line 9: strip "lead": pan = "left" must be a number, -100..100'),
        ("pan = -30", "mute = 1", 'line 9: strip "lead": mute = 1 must be true or false'),
        ("pan = -30", 'polarity = "invert"', '"lead": polarity = "invert" is unknown, did you mean "inverted"?'),
        ("fader_db = -6", 'fader_db = "-6 dB"', 'fader_db = "-6 dB" must be a number, -120..12 dB or "off"'),
        ("fader_db = -6", "fader_db = 13", 'line 7: strip "lead": fader_db = 13 is outside -120..12 dB or "off"'),
        ("fader_db = -6", "fader_db = -130", 'strip "lead": fader_db = -130 is outside -120..12 dB or "off"'),
        ("hpf_hz = 80", "hpf_hz = 0", 'line 8: strip "lead": hpf_hz = 0 is outside 20..400 Hz or "off"'),
        ("hpf_hz = 80", "trim_db = true", 'line 8: strip "lead": trim_db = true must be a number, -24..24 dB'),
        ("hmf = {", "hmid = {", 'line 12: strip "lead": eq: unknown key "hmid", did you mean "hmf"?'),
        ("gain_db = 2.5", "gain = 2.5", 'line 12: strip "lead": eq.hmf: unknown key "gain", did you mean "gain_db"?'),
        ("freq_hz = 3000, ", "", 'line 12: strip "lead": eq.hmf.freq_hz is missing'),
        ('name = "lead"', "", "line 4: strip 1: name is missing"),
        ('name = "pad"', 'name = "Lead"', 'line 15: strip "Lead": name = "Lead" is used twice'),
        ('name = "pad"', 'name = " "', 'line 15: strip " ": name is empty'),
        ('stem = "pad.wav"', 'stem = "../pad.wav"', 'stem = "../pad.wav" must be a file name, without a folder'),
        ('eq = "box"', 'eqq = "box"', 'line 19: strip "pad": place: unknown key "eqq", did you mean "eq"?'),
        ('eq = "box"', "eq = 3", 'line 19: strip "pad": place.eq = 3 must be text'),
        ('eq = "box"', 'eq = ""', 'place.eq = "" must be "auto", "box", "desk" or the name of a device'),
        ("[bus]", "[buss]", 'line 21: unknown key "buss", did you mean "bus"?'),
        ("[bus]", "[bus.comp]\nratio = 30\n[bus]", "line 22: bus.comp.ratio = 30 is outside 1..20"),
        ("[bus]", "[reverb]\ndecay_ms = 30\n[bus]", 'reverb: unknown key "decay_ms", did you mean "decay_s"?'),
        ('name = "by hand"', 'name = "x"\npan_law_db = -5', "line 3: pan_law_db = -5 must be one of"),
        ('name = "by hand"', 'name = "x"\npath = "y"', 'line 3: unknown key "path" (known: schema, name,'),
        ("schema = 1", "schema = 2", "has schema 2, and this program reads up to 1"),
        ("schema = 1", "", "schema = 1 is missing"),
        ("schema = 1", 'schema = "1"', "schema = 1 is missing"),
        ("[bus]", "[bus", "line 21: not valid TOML"),
        ('[[strip]]\nname = "pad"', '[strip]\nname = "pad"', "line 14: not valid TOML"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_and_key(hand_written, tmp_path, old, new, said):
    with pytest.raises(MixError) as caught:
        hand_written(old, new)
    assert said in str(caught.value)
    assert "mix-1.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert exit_code(caught.value) == 2


def test_a_newer_mix_is_left_as_it_is(hand_written, tmp_path):
    with pytest.raises(MixError) as caught:
        hand_written("schema = 1", "schema = 7\nsomething_new = true")
    assert "Update halfnormal" in caught.value.hint
    assert (tmp_path / "mix-1.toml").read_text().startswith("schema = 7\nsomething_new = true")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "mix-1.toml").write_bytes(b'schema = 1\nname = "\xff\xfe"\n')
    with pytest.raises(MixError, match="line 2: not UTF-8"):
        load_mix(tmp_path / "mix-1.toml")
    with pytest.raises(MixError, match="there is no mix at"):
        load_mix(tmp_path / "mix-2.toml")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(max_examples=60, deadline=None)
def test_whatever_stands_in_the_file_is_a_mix_or_a_mix_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("m") / "mix.toml"
    path.write_text(f"schema = 1\nname = 'x'\n{text}", encoding="utf-8", newline="")
    try:
        load_mix(path)
    except MixError as error:
        assert "mix.toml" in str(error)


def test_a_mix_made_in_code_is_checked_as_well():
    with pytest.raises(ControllerError, match=r"^pan = 200 is outside -100\.\.100$"):
        Strip(name="a", stem="a.wav", pan=200)
    strip = Strip(name="a", stem="a.wav")
    with pytest.raises(ControllerError, match="fader_db = 20"):
        msgspec.structs.replace(strip, fader_db=20.0)
    assert msgspec.structs.replace(strip, fader_db=-6.0).fader_db == -6.0


def test_a_mix_is_never_overwritten_a_new_version_is_a_new_file(tmp_path):
    mix = Mix(name="one")
    first = save_new_mix(mix, tmp_path)
    assert first.name == "mix-1.toml"
    with pytest.raises(MixError, match="never overwritten"):
        write_mix(mix, first)
    (tmp_path / "mix-9.toml").write_text("mine")
    assert save_new_mix(mix, tmp_path).name == "mix-10.toml"
    assert (tmp_path / "mix-9.toml").read_text() == "mine"


def test_a_changed_copy_has_no_file(tmp_path):
    mix = load_mix(save_new_mix(Mix(name="one"), tmp_path))
    assert mix.path == tmp_path / "mix-1.toml"
    assert msgspec.structs.replace(mix, name="two").path is None


def test_a_read_only_folder_is_one_sentence(read_only_folder):
    with pytest.raises(ReadOnlyError, match="permission denied"):
        save_new_mix(Mix(name="one"), read_only_folder)


def test_solo_silences_the_others_and_mute_wins():
    a, b, c = (Strip(name=n, stem="x", solo=n != "a", mute=n == "c") for n in "abc")
    mix = Mix(name="m", strips=(a, b, c))
    assert [mix.is_heard(s) for s in mix.strips] == [False, True, False]
    assert Mix(name="m", strips=(a,)).is_heard(a)


def test_the_written_text_states_every_range_beside_its_key():
    text = mix_text(Mix(name="m", strips=(Strip(name="lead", stem="lead.wav"),)))
    for key in (*Strip.ranges, *Comp.ranges, *Reverb.ranges):
        line = next(line for line in text.splitlines() if line.startswith(f"{key} ="))
        assert ".." in line.partition("#")[2], line
    assert all(len(line) <= 120 for line in text.splitlines())


TOML_KEYS = [
    (("schema",), "schema = 1"),
    (("strip", 0, "pan"), "pan = -30"),
    (("strip", 0, "eq", "hmf", "gain_db"), "hmf = {"),
    (("strip", 1), "[[strip]]"),
    (("strip", 1, "name"), 'name = "pad"'),
    (("strip", 1, "place", "eq"), "place = {"),
    (("bus", "fader_db"), "fader_db = -1"),
    (("bus", "comp"), "[bus]"),
]


@pytest.mark.parametrize(("key", "start"), TOML_KEYS)
def test_a_key_is_found_on_its_line(key, start):
    tomllib.loads(HAND_WRITTEN)
    assert HAND_WRITTEN.splitlines()[line_of(HAND_WRITTEN, key) - 1].startswith(start)


def test_a_key_without_a_trace_has_no_line():
    assert line_of(HAND_WRITTEN, ("reverb", "decay_s")) is None
