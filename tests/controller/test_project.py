from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from controller import files, partials
from controller.errors import AudioFileError, DiskFullError, MixError, ProjectError, ReadOnlyError, exit_code
from controller.events import Done, Finding, silent
from controller.mix import Mix, Strip, save_new_mix
from controller.project import StemReader, create_project, open_project, recover_prints
from controller.stems import clean_name, strip_names
from controller.wav import WavWriter

ROOT = Path(__file__).parents[2]


def noise(frames, channels, *, seed=1):
    return np.random.default_rng(seed).integers(-(2**20), 2**20, (frames, channels)) / 2**23


@pytest.fixture
def stems(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    soundfile.write(folder / "01_Kick In.wav", noise(4800, 1), 48_000, subtype="PCM_24")
    soundfile.write(folder / "02_Pad.flac", noise(9600, 2), 48_000, subtype="PCM_24")
    soundfile.write(folder / "10_Lead.aif", noise(7200, 1), 48_000, format="AIFF", subtype="PCM_16")
    return folder


@pytest.fixture
def song(tmp_path, stems):
    return create_project(tmp_path / "Blue", stems=stems)


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_of_stems_becomes_a_project_with_a_first_mix(tmp_path, stems):
    seen = []
    project = create_project(tmp_path / "songs" / "Blue", stems=stems, rig="studio-a", emit=seen.append)
    assert (project.title, project.rig, project.rate_hz, project.frames) == ("Blue", "studio-a", 48_000, 9600)
    assert [(s.name, s.file, s.channels, s.frames) for s in project.stems] == [
        ("Kick In", "01_Kick In.wav", 1, 4800),
        ("Pad", "02_Pad.flac", 2, 9600),
        ("Lead", "10_Lead.aif", 1, 7200),
    ]
    for stem in project.stems:
        assert stem.path.read_bytes() == (stems / stem.file).read_bytes()
    mix = project.mix()
    assert mix.path == project.root / "mixes" / "mix-1.toml"
    assert [(s.name, s.stem, s.fader_db, s.pan, s.mute) for s in mix.strips] == [
        (stem.name, stem.file, 0.0, 0.0, False) for stem in project.stems
    ]
    assert {p.name for p in project.root.iterdir()} == {
        "project.toml", "stems", "mixes", "prints", "snapshots", "measurements", "reports"
    }  # fmt: skip
    assert open_project(project.root) == project
    done = seen[-1]
    assert isinstance(done, Done)
    assert set(done.data) == {"project", "stems", "mix"}
    assert set(done.data["stems"][0]) == {"name", "file", "channels", "frames", "rate_hz"}
    assert not [p for p in (tmp_path / "songs").iterdir() if p.name.startswith(".")]


def test_another_rate_is_resampled_and_said_aloud(tmp_path, stems):
    seconds = np.arange(44_100) / 44_100
    soundfile.write(stems / "Pad.wav", np.zeros((100, 1)), 48_000)
    soundfile.write(
        stems / "pad.aif", 0.5 * np.sin(2 * np.pi * 1000 * seconds), 44_100, format="AIFF", subtype="PCM_24"
    )
    seen = []
    project = create_project(tmp_path / "Blue", stems=stems, emit=seen.append)
    said = [e for e in seen if isinstance(e, Finding)]
    assert len(said) == 1
    assert "resampled from 44100 to 48000 Hz" in said[0].what
    stem = project.stem("pad 2.wav")
    assert soundfile.info(stem.path).subtype == "FLOAT"
    assert (stem.rate_hz, stem.frames) == (48_000, 48_000)
    heard, _ = soundfile.read(stem.path)
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
    assert np.abs(heard - wanted)[500:-500].max() < 1e-5
    assert len({s.name.casefold() for s in project.stems}) == 5


def test_the_rate_of_most_stems_is_the_project_s_unless_one_is_given(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    for index, rate_hz in enumerate([96_000, 44_100, 44_100]):
        soundfile.write(folder / f"{index}.wav", noise(2000, 1), rate_hz)
    assert create_project(tmp_path / "a", stems=folder).rate_hz == 44_100
    assert create_project(tmp_path / "b", stems=folder, rate_hz=192_000).rate_hz == 192_000
    with pytest.raises(ProjectError, match=r"8000 Hz is outside 44100\.\.192000 Hz"):
        create_project(tmp_path / "c", stems=folder, rate_hz=8000)


def test_what_is_left_out_is_said(tmp_path, stems):
    (stems / "notes.txt").write_text("hello")
    (stems / "old").mkdir()
    (stems / ".DS_Store").touch()
    (stems / "._01_Kick In.wav").write_bytes(b"\0\5\x16\7")
    seen = []
    create_project(tmp_path / "Blue", stems=stems, emit=seen.append)
    left_out = [e.where for e in seen if isinstance(e, Finding)]
    assert [Path(where).name for where in left_out] == ["notes.txt", "old"]


def bad_text(folder):
    (folder / "x.wav").write_text("not audio")


def bad_truncated(folder):
    path = folder / "01_Kick In.wav"
    path.write_bytes(path.read_bytes()[:-3000])


def bad_nan(folder):
    block = np.zeros((100, 1), np.float32)
    block[7] = np.nan
    soundfile.write(folder / "x.wav", block, 48_000, subtype="FLOAT")


def bad_surround(folder):
    soundfile.write(folder / "x.wav", noise(10, 6), 48_000)


def bad_empty(folder):
    for path in folder.iterdir():
        path.unlink()


def bad_only_text(folder):
    bad_empty(folder)
    (folder / "notes.txt").touch()


def bad_gone(folder):
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (bad_text, AudioFileError, r"x\.wav is not an audio file that can be read: it is a text file"),
        (bad_truncated, AudioFileError, r"its header promises 4800 frames, the file holds 3800$"),
        (bad_nan, AudioFileError, r"x\.wav: frame 7 \(0\.000 s\) of channel 1 is not a number"),
        (bad_surround, AudioFileError, r"x\.wav has 6 channels, and a stem is mono or stereo"),
        (bad_empty, ProjectError, r"holds no audio files$"),
        (bad_only_text, ProjectError, r"holds no audio files \(1 other files or folders are there\)$"),
        (bad_gone, ProjectError, r"there is no folder of stems at"),
    ],
)
def test_bad_stems_are_one_sentence_and_nothing_is_written(tmp_path, stems, spoil, kind, said):
    spoil(stems)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(kind, match=said) as caught:
        create_project(tmp_path / "new" / "Blue", stems=stems)
    assert sorted(tmp_path.rglob("*")) == before
    assert exit_code(caught.value) == 2


def test_an_existing_project_is_refused_untouched(tmp_path, stems, song):
    before = tree(song.root)
    with pytest.raises(ProjectError, match=r"there is a project at .*Blue already"):
        create_project(song.root, stems=stems)
    assert tree(song.root) == before
    (tmp_path / "other").mkdir()
    with pytest.raises(ProjectError, match="there is something at"):
        create_project(tmp_path / "other", stems=stems)


def test_a_read_only_folder_is_one_sentence(read_only_folder):
    stems = read_only_folder.parent / "export"
    stems.mkdir()
    soundfile.write(stems / "a.wav", noise(10, 1), 48_000)
    with pytest.raises(ReadOnlyError, match=r"^cannot write .*Blue: permission denied$") as caught:
        create_project(read_only_folder / "Blue", stems=stems)
    assert caught.value.hint
    assert list(read_only_folder.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, stems, monkeypatch):
    def full(reading, writing, size=0):
        writing.write(reading.read(100))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DiskFullError, match="no space left on device"):
        create_project(tmp_path / "Blue", stems=stems)
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_while_a_project_is_made_leaves_nothing_behind(tmp_path, stems):
    def interrupt(event):
        if getattr(event, "detail", "").startswith("copying 10"):
            raise KeyboardInterrupt

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        create_project(tmp_path / "Blue", stems=stems, emit=interrupt)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema = 1", "schema = 2", "has schema 2, and this program reads up to 1"),
        ("rate_hz = 48000", "rate = 48000", 'line 5: unknown key "rate", did you mean "rate_hz"?'),
        ("rate_hz = 48000", 'rate_hz = "48k"', 'rate_hz = "48k" must be a whole number'),
        ("rate_hz = 48000", "rate_hz = 48", "rate_hz = 48 Hz is outside 44100..192000 Hz"),
        ("rate_hz = 48000", "rate_hz = 96000", "Kick In.wav is at 48000 Hz, the project at 96000 Hz"),
        ('rig = "demo"', "", "rig is missing"),
        ('title = "Blue"', 'title = "Blue', "line 4: not valid TOML"),
    ],
)
def test_a_damaged_project_file_is_one_sentence_and_left_alone(song, old, new, said):
    file = song.root / "project.toml"
    file.write_text(file.read_text().replace(old, new))
    before = tree(song.root)
    with pytest.raises(ProjectError) as caught:
        open_project(song.root)
    assert said in str(caught.value)
    assert tree(song.root) == before


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path, song):
    with pytest.raises(ProjectError, match=r"there is no project at .*no project\.toml") as caught:
        open_project(tmp_path)
    assert "halfnormal new" in caught.value.hint
    shutil.rmtree(song.root / "stems")
    with pytest.raises(ProjectError, match="stems"):
        open_project(song.root)


def test_the_newest_numbered_mix_is_the_default(song):
    save_new_mix(Mix(name="two"), song.mixes)
    (song.mixes / "mix-10.toml").write_text('schema = 1\nname = "ten"\n')
    (song.mixes / "zz loud.toml").write_text('schema = 1\nname = "loud"\n')
    assert song.mix_names() == ["mix-1", "mix-2", "mix-10", "zz loud"]
    assert song.mix().name == "ten"
    assert song.mix("mix-2").name == "two"
    assert song.mix("zz loud.toml").name == "loud"
    with pytest.raises(ProjectError, match=r'has no mix "mix-22", did you mean "mix-2"'):
        song.mix("mix-22")


def test_a_mix_that_names_an_absent_stem_says_which_is_near(song):
    save_new_mix(Mix(name="two", strips=(Strip(name="lead", stem="10_Led.aif"),)), song.mixes)
    said = r'mix-2\.toml, line \d+: strip "lead": stem = "10_Led\.aif" is not in .*"10_Lead\.aif"'
    with pytest.raises(MixError, match=said):
        song.mix()


def filled(reader, frames):
    """Return the next frames of every stem."""
    blocks = [np.full((frames, stem.channels), np.nan, np.float32) for stem in reader.stems]
    for index, block in enumerate(blocks):
        reader.fill(index, block)
    return blocks


def test_stems_are_read_in_step_and_silent_after_their_end(song, stems):
    with StemReader(song) as reader:
        assert reader.frames == 9600
        blocks = [filled(reader, n) for n in (1000, 4000, 5000)]
    for index, stem in enumerate(song.stems):
        whole = np.concatenate([b[index] for b in blocks])
        source, _ = soundfile.read(stems / stem.file, always_2d=True, dtype="float32")
        assert whole.shape == (10_000, stem.channels)
        assert whole.dtype == np.float32
        assert np.array_equal(whole[: stem.frames], source)
        assert not whole[stem.frames :].any()


def test_stems_are_read_by_name_or_file_in_the_order_asked_for(song):
    with StemReader(song, ["Lead", "01_Kick In.wav", "Lead"]) as reader:
        reader.seek(100)
        lead, kick, again = filled(reader, 50)
        assert np.array_equal(lead, again)
        assert np.array_equal(kick, noise(4800, 1)[100:150].astype(np.float32))
    with pytest.raises(ProjectError, match='has no stem "Bass"'):
        StemReader(song, ["Bass"])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("01 - Kick", "Kick"),
        ("03_Gtr__L", "Gtr L"),
        ("808", "808"),
        ("2 Step", "Step"),
        ("12", "12"),
        ("Vox\tlead\n", "Voxlead"),
        ("__", "stem"),
        ("Cafe\u0301", "Caf\u00e9"),
    ],
)
def test_strip_names_are_clean(file, name):
    assert clean_name(file) == name


def test_strip_names_are_unique_whatever_the_case():
    assert strip_names(map(Path, ["01 Gtr.wav", "02 gtr.wav", "gtr 2.wav", "GTR.aif"])) == [
        "Gtr",
        "gtr 2",
        "gtr 2 2",
        "GTR 3",
    ]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from controller.project import open_project
from controller.wav import WavWriter
project = open_project(Path(sys.argv[1]))
number, partial = project.claim_print({"mix": "mix-1", "path": "analog"})
writer = WavWriter(partial, rate_hz=48_000, channels=2, subtype="FLOAT")
print(number, partial.name, flush=True)
for block in range(37):
    writer.write(np.full((256, 2), block / 64, np.float32))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(song):
    if os.name == "nt":
        pytest.skip("needs SIGKILL")
    (song.prints / "0004-itb.wav").write_bytes(b"a print")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(song.root)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ended.stdout.split() == ["5", ".partial-0005.wav"]
    return song


def test_kill_9_in_the_middle_of_a_pass_loses_nothing(killed):
    before = tree(killed.root)
    seen = []
    project = open_project(killed.root, emit=seen.append)
    after = tree(project.root)
    recovered = project.prints / "0005-recovered.wav"
    heard, rate_hz = soundfile.read(recovered)
    assert rate_hz == 48_000
    assert np.array_equal(heard, np.repeat(np.arange(37) / 64, 256)[:, None] * np.ones(2))
    told = json.loads(recovered.with_suffix(".json").read_text())
    assert (told["schema"], told["print"], told["status"], told["frames"]) == (1, 5, "recovered", 37 * 256)
    assert told["hash"] == files.content_hash(recovered)
    assert told["journal"]["facts"] == {"mix": "mix-1", "path": "analog"}
    assert [e.severity for e in seen] == ["warning"]
    assert "0005-recovered.wav" in seen[0].where
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {
        f"prints/{name}"
        for name in (".partial-0005.wav", ".partial-0005.json", "0005-recovered.wav", "0005-recovered.json")
    }
    assert recover_prints(project, silent) == []
    assert tree(project.root) == after


def test_recovery_that_is_killed_itself_is_finished_the_next_time(killed, monkeypatch):
    def power_cut(path, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(partials, "write_new", power_cut)
        with pytest.raises(KeyboardInterrupt):
            recover_prints(killed, silent)
    assert (killed.prints / "0005-recovered.wav").exists()
    assert recover_prints(killed, silent) == [killed.prints / "0005-recovered.wav"]
    assert json.loads((killed.prints / "0005-recovered.json").read_text())["frames"] == 37 * 256
    assert not list(killed.prints.glob(".partial-*"))


def test_a_pass_that_still_runs_is_left_alone(song):
    number, partial = song.claim_print()
    writer = WavWriter(partial, rate_hz=48_000, channels=2)
    writer.write(np.zeros((100, 2), np.float32))
    assert recover_prints(song, silent) == []
    writer.close()
    assert partial.exists()
    song.release_print(number)
    song.release_print(number)
    assert list(song.prints.iterdir()) == []


def journal_of(song, **owner):
    _, partial = song.claim_print()
    with WavWriter(partial, rate_hz=48_000, channels=2) as writer:
        writer.write(np.zeros((100, 2), np.float32))
    journal = partial.with_suffix(".json")
    told = json.loads(journal.read_text())
    told["owner"].update(owner)
    journal.write_text(json.dumps(told))
    return partial


def test_a_later_process_of_the_same_number_is_not_the_owner(song):
    journal_of(song, started="another life")
    assert [p.name for p in recover_prints(song, silent)] == ["0001-recovered.wav"]


def test_a_pass_on_another_machine_is_left_alone_and_said(song):
    partial = journal_of(song, host="the other studio")
    seen = []
    assert recover_prints(song, seen.append) == []
    assert "the other studio" in seen[0].what
    assert ".partial-0001.json" in seen[0].hint
    partial.with_suffix(".json").unlink()
    assert [p.name for p in recover_prints(song, silent)] == ["0001-recovered.wav"]


def test_a_damaged_journal_does_not_keep_the_audio(song):
    partial = journal_of(song)
    partial.with_suffix(".json").write_text("{ half a jour")
    (recovered,) = recover_prints(song, silent)
    assert json.loads(recovered.with_suffix(".json").read_text())["journal"] is None


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_pass_killed_after_its_print_was_filed_leaves_no_second_print(song, suffix):
    partial = journal_of(song, started="another life")
    partial.with_name(f".partial-0001-whole-numbers{suffix}").write_bytes(b"on the way")
    (song.prints / f"0001-analog{suffix}").write_bytes(b"the print")
    (song.prints / "0001-analog.json").write_text("{}")
    assert recover_prints(song, silent) == []
    assert sorted(p.name for p in song.prints.iterdir()) == sorted(["0001-analog.json", f"0001-analog{suffix}"])


def test_a_pass_killed_before_it_recorded_is_said_and_does_not_stop_the_project(song):
    partial = journal_of(song, started="another life")
    partial.write_bytes(b"RIFF")
    seen = []
    assert open_project(song.root, emit=seen.append) == song
    assert "before it recorded anything" in seen[0].what
    assert partial.exists()


def test_this_process_has_a_mark_and_an_ended_one_has_none():
    mark = partials.process_mark(os.getpid())
    assert mark and mark == partials.process_mark(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert partials.process_mark(ended.pid) is None
