"""From the mix file to the print: inserts, sends, busses, VCAs, solo; stems, busses and regions of one render."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from short_line import RATE_HZ, read

from controller.box_render import Wanted
from controller.errors import AudioFileError, UsageError
from controller.events import Event, Finding, Progress, Started
from controller.filing import Print
from controller.mix import AddedBus, Bus, Comp, Insert, Mix, Move, Send, Strip, Vca, save_new_mix
from controller.printing import print_mix
from controller.project import Project, create_project

FRAMES = 30_000
CENTRE = math.sqrt(0.5)
STEMS = ("bass", "drums", "vox")


class Song:
    """Three mono stems of noise; ``track`` makes a strip of one hard left, so that a bus's left side is plain."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        self.folder = folder
        self.stems = {name: 0.1 * rng.standard_normal(FRAMES).astype(np.float32) for name in STEMS}
        (folder / "in").mkdir()
        for name, audio in self.stems.items():
            soundfile.write(folder / "in" / f"{name}.wav", audio, RATE_HZ, subtype="FLOAT")
        self.project: Project = create_project(folder / "song", stems=folder / "in")
        self.heard: list[Event] = []

    @staticmethod
    def track(name: str, **settings: Any) -> Strip:
        return Strip(**{"name": name, "stem": f"{name}.wav", "pan": -100.0, **settings})

    def print(self, *strips: Strip, wanted: Wanted | None = None, format_: Any = "float", **mix: Any) -> Print:
        save_new_mix(Mix(name="m", strips=strips, **mix), self.project.mixes)
        return print_mix(
            self.project,
            self.project.mix(),
            path="itb",
            studio=None,
            emit=self.heard.append,
            accept=lambda question: True,
            format_=format_,
            wanted=wanted,
        )

    def left(self, *strips: Strip, **mix: Any) -> np.ndarray:
        """The left side of a print, as long as the stems."""
        return read(self.print(*strips, **mix).file)[:FRAMES, 0]


@pytest.fixture
def song(tmp_path: Path) -> Song:
    return Song(tmp_path)


def test_a_stem_that_has_come_to_hold_what_is_no_number_is_refused_with_the_place(song: Song) -> None:
    damaged = song.stems["vox"].copy()
    damaged[12_345] = np.nan
    soundfile.write(song.project.stem("vox").path, damaged, RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=r"vox\.wav: frame 12345 \(0\.257 s\) of channel 1 is not a number"):
        song.print(song.track("vox"), song.track("bass"))
    assert not song.project.prints.exists() or not list(song.project.prints.iterdir())


def trim(gain_db: float, **more: Any) -> Insert:
    return Insert(kind="trim", settings={"gain_db": gain_db}, **more)


def db(level: float) -> float:
    return 10 ** (level / 20)


def test_inserts_of_a_strip_and_of_the_stereo_bus_are_heard_in_the_print(song: Song) -> None:
    strip = song.track("vox", inserts=(trim(-6.0, at="pre"), trim(2.0), trim(-40.0, on=False)))
    out = song.left(strip, bus=Bus(inserts=(trim(-1.0), trim(0.5, at="pre"))))
    np.testing.assert_allclose(out, db(-6 + 2 - 1 + 0.5) * song.stems["vox"], atol=1e-6)


def test_an_early_strip_is_early_and_the_rest_begins_on_the_songs_first_frame(song: Song) -> None:
    early = song.track("vox", inserts=(Insert(kind="advance", settings={"advance_ms": 2.0}),))
    made = song.print(song.track("bass"), early)
    out = read(made.file)[:FRAMES, 0]
    vox = np.concatenate([song.stems["vox"][96:], np.zeros(96)])
    np.testing.assert_allclose(out, song.stems["bass"] + vox, atol=1e-6)
    assert made.facts["graph_latency_samples"] == 96
    assert ("vox", "latency") in {(p["strip"], p["stage"]) for p in made.facts["allocation"]}


def test_a_gate_that_looks_ahead_is_in_step_with_the_dry_signal(song: Song) -> None:
    """A gate that takes nothing away changes nothing, 5 ms late; the same turned round beside it takes it out."""
    open_gate = Insert(kind="gate", settings={"range_db": 0.0, "lookahead_ms": 5.0})
    strips = (
        song.track("vox", inserts=(open_gate,), output="low"),
        Strip(name="dry", stem="vox.wav", pan=-100.0, polarity="inverted"),
    )
    made = song.print(*strips, busses=(AddedBus(name="low", inserts=(open_gate,)),))
    assert made.facts["graph_latency_samples"] == 480
    assert not np.any(read(made.file))


def test_a_side_chain_hears_another_strip_whatever_its_fader(song: Song) -> None:
    song.stems["drums"][10_000:] = 0.0
    soundfile.write(song.project.root / "stems" / "drums.wav", song.stems["drums"], RATE_HZ, subtype="FLOAT")
    settings = {"threshold_db": -60.0, "ratio": 20.0, "attack_ms": 0.1, "release_ms": 5.0}
    ducked = Insert(kind="compressor", key="drums", settings=settings)
    out = song.left(song.track("bass", inserts=(ducked,)), song.track("drums", fader_db=-math.inf))
    level_db = [
        20 * math.log10(np.std(out[a:b]) / np.std(song.stems["bass"][a:b]))
        for a, b in ((3_000, 9_000), (15_000, 25_000))
    ]
    assert level_db[0] < -20.0
    assert level_db[1] == pytest.approx(0.0, abs=0.01)


def test_a_sub_group_a_parallel_bus_and_sends_before_and_after_the_fader(song: Song) -> None:
    strips = (
        song.track("bass", output="low", fader_db=-6.0),
        song.track("drums", fader_db=-12.0, sends=(Send(to="par", level_db=-3.0), Send(to="low", at="pre"))),
    )
    busses = (
        AddedBus(name="par", inserts=(trim(4.0),), fader_db=-2.0, output="low"),
        AddedBus(name="low", fader_db=-5.0, sends=(Send(to="post", level_db=1.0), Send(to="pre", at="pre"))),
        AddedBus(name="post", output="none"),
        AddedBus(name="pre", fader_db=-20.0),
    )
    made = song.print(*strips, busses=busses, wanted=Wanted(busses=True))
    bass, drums = song.stems["bass"], song.stems["drums"]
    par = db(-12 - 3 + 4 - 2) * drums
    low = db(-6) * bass + par + drums
    parts = {part["name"]: read(song.project.prints / part["file"])[:FRAMES, 0] for part in made.facts["parts"]}
    assert set(parts) == {"par", "low", "post", "pre"}
    np.testing.assert_allclose(parts["par"], par, atol=1e-6)
    np.testing.assert_allclose(parts["low"], db(-5) * low, atol=1e-6)
    np.testing.assert_allclose(parts["post"], db(-5 + 1) * low, atol=1e-6)
    np.testing.assert_allclose(parts["pre"], db(-20) * low, atol=1e-6)
    np.testing.assert_allclose(read(made.file)[:FRAMES, 0], db(-12) * drums + db(-5) * low + db(-20) * low, atol=1e-6)


def test_a_vca_adds_to_the_faders_that_follow_it_and_its_mute_and_moves_with_them(song: Song) -> None:
    strips = (song.track("bass", vca="all", fader_db=10.0), song.track("drums", vca="quiet"), song.track("vox"))
    vcas = (Vca(name="all", fader_db=8.0), Vca(name="quiet", mute=True))
    out = song.left(*strips, vcas=vcas)
    np.testing.assert_allclose(out, db(18) * song.stems["bass"] + song.stems["vox"], atol=2e-6)
    fade = Move(strip="all", what="fader_db", points=[[0.1, 0.0], [0.1, -20.0]])
    own = Move(strip="bass", what="fader_db", points=[[0.3, -1.0], [0.3, -3.0]])
    out = song.left(*strips[:1], vcas=vcas, moves=(fade, own))
    gains = np.repeat([db(-1), db(-21), db(-23)], [4_800, 9_600, FRAMES - 14_400])
    settled = np.ones(FRAMES, bool)
    for jump in (4_800, 14_400):
        settled[jump - 64 : jump] = False
    np.testing.assert_allclose(out[settled], (gains * song.stems["bass"])[settled], atol=1e-6)


@pytest.mark.parametrize(
    ("soloed", "heard"),
    [
        ({}, {"bass", "drums", "vox"}),
        ({"vox": {"solo": True}}, {"vox"}),
        ({"vox": {"solo": True}, "bass": {"solo_safe": True}}, {"vox", "bass"}),
        ({"low": {"solo": True}}, {"bass", "drums"}),
        ({"bass": {"solo": True}}, {"bass"}),
        ({"low": {"mute": True}}, {"vox"}),
        ({"low": {"solo": True}, "drums": {"mute": True}}, {"bass"}),
        ({"crew": {"solo": True}}, {"drums"}),
    ],
)
def test_solo_of_strips_busses_and_vcas(song: Song, soloed: dict[str, Any], heard: set[str]) -> None:
    strips = (
        song.track("bass", output="low", **soloed.get("bass", {})),
        song.track("drums", output="low", vca="crew", **soloed.get("drums", {})),
        song.track("vox", **soloed.get("vox", {})),
    )
    busses = (AddedBus(name="low", **soloed.get("low", {})),)
    out = song.left(*strips, busses=busses, vcas=(Vca(name="crew", **soloed.get("crew", {})),))
    np.testing.assert_allclose(out, sum(song.stems[name] for name in heard), atol=1e-6)


def test_a_soloed_effect_return_is_fed_and_nothing_else_is_heard(song: Song) -> None:
    strips = (song.track("bass", sends=(Send(to="echo", level_db=-6.0),)), song.track("vox"))
    out = song.left(*strips, busses=(AddedBus(name="echo", solo=True),))
    np.testing.assert_allclose(out, db(-6) * song.stems["bass"], atol=1e-6)


def test_a_mix_minus_is_printed_beside_and_not_heard(song: Song) -> None:
    strips = (song.track("bass"), song.track("vox", fader_db=-4.0))
    made = song.print(*strips, busses=(AddedBus(name="for vox", minus="vox"),), wanted=Wanted(busses=True))
    (part,) = made.facts["parts"]
    np.testing.assert_allclose(read(song.project.prints / part["file"])[:FRAMES, 0], song.stems["bass"], atol=1e-6)
    both = song.stems["bass"] + db(-4) * song.stems["vox"]
    np.testing.assert_allclose(read(made.file)[:FRAMES, 0], both, atol=1e-6)


@pytest.mark.parametrize(
    ("pan", "gains"), [(-30.0, (CENTRE, CENTRE)), (-80.0, (1, 0)), (60.0, (0, 1)), (0.0, (CENTRE, CENTRE))]
)
def test_left_centre_and_right_are_all_that_lcr_knows(song: Song, pan: float, gains: tuple[float, float]) -> None:
    out = read(song.print(song.track("vox", pan=pan), panning="lcr").file)[:FRAMES]
    np.testing.assert_allclose(out, song.stems["vox"][:, None] * np.array(gains), atol=1e-6)


def test_moves_of_inserts_sends_and_busses(song: Song) -> None:
    strips = (song.track("bass", inserts=(trim(0.0),), sends=(Send(to="fx", level_db=-math.inf),)),)
    moves = (
        Move(strip="bass", what="insert/1/gain_db", points=[[0.1, 0.0], [0.1, -20.0]]),
        Move(strip="bass", what="send/fx", points=[[0.2, -math.inf], [0.2, 0.0]]),
        Move(strip="fx", what="fader_db", points=[[0.4, 0.0], [0.4, -6.0]]),
    )
    out = song.left(*strips, busses=(AddedBus(name="fx"),), moves=moves)
    gains = np.repeat([1.0, 0.1, 0.2, 0.1 + 0.1 * db(-6)], [4_800, 4_800, 9_600, FRAMES - 19_200])
    settled = np.ones(FRAMES, bool)
    for jump in (4_800, 9_600, 19_200):
        settled[jump - 64 : jump] = False
    np.testing.assert_allclose(out[settled], (gains * song.stems["bass"])[settled], atol=1e-6)


def test_moves_of_a_strips_own_trim_filters_and_compressor_and_of_the_bus(song: Song) -> None:
    bass = song.track("bass", comp=Comp(on=True, threshold_db=0.0, ratio=1.0))
    moves = (
        Move(strip="bass", what="trim_db", points=[[0.1, 0.0], [0.1, -6.0]]),
        Move(strip="bass", what="comp/makeup_db", points=[[0.2, 0.0], [0.2, -3.0]]),
        Move(strip="bus", what="eq/lf/gain_db", points=[[0.3, 0.0], [0.3, -9.0]]),
        Move(strip="vox", what="hpf_hz", points=[[0.0, -math.inf], [0.4, -math.inf], [0.4, 400.0]]),
    )
    out = song.left(bass, bus=Bus(comp=Comp(on=False)), moves=moves[:3])
    still = 14_384  # the equaliser's jump begins 16 frames before 0.3 s
    gains = np.repeat([1.0, db(-6), db(-9)], [4_800, 4_800, still - 9_600])
    settled = np.ones(still, bool)
    for jump in (4_800, 9_600):
        settled[jump - 32 : jump + 32] = False
    np.testing.assert_allclose(out[:still][settled], (gains * song.stems["bass"][:still])[settled], atol=1e-6)
    low = np.fft.rfft(out[16_000:] * np.hanning(FRAMES - 16_000))[1:10]
    flat = np.fft.rfft(db(-9) * song.stems["bass"][16_000:] * np.hanning(FRAMES - 16_000))[1:10]
    assert 20 * math.log10(np.abs(low / flat).mean()) == pytest.approx(-9.0, abs=0.7)
    out = song.left(song.track("vox"), moves=moves[3:])
    np.testing.assert_allclose(out[:19_168], song.stems["vox"][:19_168], atol=1e-6)
    low, flat = (np.fft.rfft(x[20_000:] * np.hanning(FRAMES - 20_000))[2:12] for x in (out, song.stems["vox"]))
    assert np.abs(low).mean() < 0.2 * np.abs(flat).mean()


def everything(song: Song) -> tuple[tuple[Strip, ...], dict[str, Any]]:
    """A mix of most there is, whose samples depend on what came before."""
    strips = (
        song.track("bass", comp=Comp(on=True, threshold_db=-30.0), hpf_hz=60.0, send_db=-6.0, output="low"),
        song.track("drums", inserts=(Insert(kind="advance", settings={"advance_ms": 1.0}),), sends=(Send(to="low"),)),
        song.track("vox", pan=20.0, send_db=-3.0),
    )
    moves = (
        Move(strip="vox", what="fader_db", points=[[0.0, -10.0], [0.6, 0.0]]),
        Move(strip="low", what="insert/1/gain_db", points=[[0.1, 0.0], [0.5, -9.0]]),
    )
    bus = Bus(comp=Comp(on=True, threshold_db=-20.0), inserts=(trim(1.0, at="pre"),))
    return strips, {"busses": (AddedBus(name="low", inserts=(trim(0.0),)),), "bus": bus, "moves": moves}


def test_everything_at_once_is_numbered_files_beside_the_print_with_their_hashes(song: Song) -> None:
    strips, mix = everything(song)
    plain = song.print(*strips, **mix)
    made = song.print(*strips, **mix, wanted=Wanted(stems=True, busses=True))
    assert np.array_equal(read(plain.file), read(made.file))
    assert "parts" not in plain.facts
    names = [(part["kind"], part["name"], Path(part["file"]).name) for part in made.facts["parts"]]
    assert names == [
        ("stem", "bass", "stem-01-bass.wav"),
        ("stem", "drums", "stem-02-drums.wav"),
        ("stem", "vox", "stem-03-vox.wav"),
        ("bus", "low", "bus-01-low.wav"),
        ("bus", "reverb", "bus-02-reverb.wav"),
    ]
    whole = read(made.file)
    for part in made.facts["parts"]:
        file = song.project.prints / part["file"]
        assert file.parent == made.file.with_suffix("")
        assert hashlib.sha256(file.read_bytes()).hexdigest() == part["hash"].removeprefix("sha256:")
        assert read(file).shape == whole.shape
        assert part["peak_dbfs"] == pytest.approx(20 * math.log10(np.abs(read(file)).max()), abs=0.01)
    assert not list(song.project.prints.glob(".partial*"))


def test_stems_and_busses_are_the_mix_taken_apart(song: Song) -> None:
    strips, mix = everything(song)
    made = song.print(*strips, **mix | {"bus": Bus()}, wanted=Wanted(stems=True, busses=True))
    parts = {part["name"]: read(song.project.prints / part["file"]) for part in made.facts["parts"]}
    total = parts["drums"] + parts["vox"] + parts["low"] + parts["reverb"]
    np.testing.assert_allclose(total, read(made.file), atol=1e-6)


def test_a_muted_strip_has_no_stem_and_that_is_said(song: Song) -> None:
    made = song.print(song.track("bass"), song.track("vox", mute=True), wanted=Wanted(stems=True), format_="24")
    assert [part["name"] for part in made.facts["parts"]] == ["bass"]
    assert made.facts["parts"][0]["format"].startswith("24-bit")
    assert soundfile.info(song.project.prints / made.facts["parts"][0]["file"]).subtype == "PCM_24"
    assert any(isinstance(e, Finding) and "no stem" in e.what and "vox" in e.what for e in song.heard)


def test_a_stem_above_full_scale_stays_float(song: Song) -> None:
    made = song.print(
        song.track("bass", fader_db=12.0, inserts=(trim(20.0),)),
        bus=Bus(fader_db=-30.0),
        wanted=Wanted(stems=True),
        format_="24",
    )
    assert made.facts["format"].startswith("24-bit")
    assert made.facts["parts"][0]["format"] == "32-bit float"


def test_a_region_is_the_very_samples_of_the_whole_print(song: Song) -> None:
    strips, mix = everything(song)
    whole = read(song.print(*strips, **mix).file)
    song.heard.clear()
    made = song.print(*strips, **mix, wanted=Wanted(from_s=0.2, to_s=0.5, stems=True))
    assert np.array_equal(read(made.file), whole[9_600:24_000])
    assert made.facts["region"] == {"from_s": 0.2, "to_s": 0.5, "rendered_from_s": 0.0}
    assert len(read(song.project.prints / made.facts["parts"][0]["file"])) == 14_400
    (started,) = [event for event in song.heard if isinstance(event, Started)]
    assert "every sample is the whole print's" in started.detail
    shares = [event.done for event in song.heard if isinstance(event, Progress)]
    assert shares == sorted(shares)


def test_a_region_with_pre_roll_says_what_may_be_missing_and_keeps_time_with_the_moves(song: Song) -> None:
    strips, mix = everything(song)
    made = song.print(*strips, **mix, wanted=Wanted(from_s=0.4, to_s=0.5, pre_roll_s=0.3))
    assert made.facts["region"]["rendered_from_s"] == pytest.approx(0.1)
    assert any(isinstance(e, Finding) and "shorter than the longest tail" in e.what for e in song.heard)
    dry = {**mix, "bus": Bus()}
    strips = tuple(song.track(s.name, fader_db=s.fader_db, output=s.output) for s in strips)
    whole, part = song.print(*strips, **dry), song.print(*strips, **dry, wanted=Wanted(from_s=0.4, pre_roll_s=0.3))
    np.testing.assert_allclose(read(part.file), read(whole.file)[19_200:], atol=1e-6)


@pytest.mark.parametrize("wanted", [Wanted(from_s=100.0), Wanted(from_s=0.3, to_s=0.3), Wanted(from_s=0.3, to_s=0.1)])
def test_a_region_outside_of_the_song_is_refused(song: Song, wanted: Wanted) -> None:
    with pytest.raises(UsageError, match="There is nothing from"):
        song.print(song.track("bass"), wanted=wanted)
    assert not list(song.project.prints.iterdir())
