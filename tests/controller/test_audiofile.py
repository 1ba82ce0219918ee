from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from controller.audiofile import AudioReader, probe, read_audio, scan
from controller.errors import AudioFileError, StorageError

GRID = np.arange(-2000, 2000).reshape(-1, 2) / 2**15


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("format_", "suffix", "subtype"),
    [
        ("WAV", "wav", "PCM_16"),
        ("WAV", "wav", "PCM_24"),
        ("WAV", "wav", "PCM_32"),
        ("WAV", "wav", "FLOAT"),
        ("WAVEX", "wav", "PCM_24"),
        ("RF64", "rf64", "PCM_24"),
        ("AIFF", "aif", "PCM_16"),
        ("AIFF", "aiff", "PCM_24"),
        ("AIFF", "aif", "FLOAT"),
        ("FLAC", "flac", "PCM_24"),
    ],
)
def test_every_stem_format_is_read_exactly(tmp_path, channels, format_, suffix, subtype):
    path = tmp_path / f"a.{suffix}"
    block = GRID[:, :channels]
    soundfile.write(path, block, 88_200, format=format_, subtype=subtype)
    facts = probe(path)
    assert (facts.channels, facts.frames, facts.rate_hz, facts.subtype) == (channels, 2000, 88_200, subtype)
    assert facts.seconds == pytest.approx(2000 / 88_200)
    back, rate_hz = read_audio(path)
    assert rate_hz == 88_200
    assert back.dtype == np.float32
    assert back.flags.c_contiguous
    assert np.array_equal(back, block)


def test_blocks_add_up_to_the_file_and_seeking_goes_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", GRID, 48_000, subtype="PCM_24")
    with AudioReader(tmp_path / "a.wav") as reader:
        blocks = [reader.read(n) for n in (1, 0, 700, 299, 5000, 10)]
        assert [len(b) for b in blocks] == [1, 0, 700, 299, 1000, 0]
        assert np.array_equal(np.concatenate(blocks), GRID)
        reader.seek(1990)
        assert np.array_equal(reader.read(20), GRID[1990:])
        reader.seek(10_000)
        assert reader.position == 2000


@pytest.mark.parametrize(("format_", "suffix"), [("WAV", "wav"), ("RF64", "wav"), ("AIFF", "aif")])
def test_a_truncated_file_is_refused_with_the_numbers(tmp_path, format_, suffix):
    path = tmp_path / f"lead.{suffix}"
    soundfile.write(path, GRID, 48_000, format=format_, subtype="PCM_24")
    path.write_bytes(path.read_bytes()[: -6 * 500])
    with pytest.raises(AudioFileError, match=r"promises 2000 frames, the file holds 1\d\d\d$"):
        probe(path)


def test_a_truncated_flac_is_found_on_reading(tmp_path):
    path = tmp_path / "lead.flac"
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (50_000, 2))
    soundfile.write(path, noise, 48_000, subtype="PCM_24")
    path.write_bytes(path.read_bytes()[:150_000])
    with pytest.raises(AudioFileError, match=r"damaged or truncated|promises 50000 frames"):
        scan(path)


def test_a_file_cut_inside_its_header_is_truncated(tmp_path):
    soundfile.write(tmp_path / "a.wav", GRID, 48_000)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:30])
    with pytest.raises(AudioFileError, match="header ends before any audio"):
        probe(tmp_path / "a.wav")


def test_text_named_wav_is_called_text(tmp_path):
    (tmp_path / "notes.wav").write_text("Vocals: take 3 is the good one.\nUse it.")
    with pytest.raises(
        AudioFileError, match=r'a text file that begins with "Vocals: take 3 is the good one\. Use it\."'
    ):
        probe(tmp_path / "notes.wav")


@pytest.mark.parametrize("content", [b"\0\1\2\3" * 100, b"OggS" + b"\0" * 60, b"RIFF\x24\0\0\0AVI LIST"])
def test_other_bytes_named_wav_are_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioFileError, match="is not an audio file"):
        probe(tmp_path / "a.wav")


def test_another_audio_format_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", GRID, 48_000, format="AU")
    with pytest.raises(AudioFileError, match="stems are WAV, RF64, AIFF or FLAC"):
        probe(tmp_path / "a.wav")


def test_an_empty_file_and_one_without_frames_are_refused(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioFileError, match="0 bytes"):
        probe(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros((0, 2)), 48_000)
    with pytest.raises(AudioFileError, match="0 frames"):
        probe(tmp_path / "b.wav")


def test_a_missing_file_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        probe(tmp_path / "a.wav")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "not a number"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_what_is_no_number_is_named_with_its_place(tmp_path, value, word):
    block = np.zeros((100_000, 2), np.float32)
    block[96_000, 1] = value
    soundfile.write(tmp_path / "lead.wav", block, 48_000, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=rf"lead\.wav: frame 96000 \(2\.000 s\) of channel 2 is {word}"):
        scan(tmp_path / "lead.wav")


def test_a_recording_that_was_never_closed_is_not_taken_for_silence(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, GRID, 48_000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"data") + 4, 0)
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match="never closed: its header says 0 frames, 8000 bytes follow"):
        probe(path)


def test_a_file_from_a_pipe_has_its_length_from_the_file(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, GRID, 48_000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, 4, 0xFFFFFFFF)
    struct.pack_into("<L", data, data.index(b"data") + 4, 0xFFFFFFFF)
    path.write_bytes(data)
    back, _ = read_audio(path)
    assert np.array_equal(back, GRID)


def test_progress_is_told_while_a_file_is_checked(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((150_000, 1)), 48_000)
    seen = []
    scan(tmp_path / "a.wav", progress=seen.append)
    assert seen[-1] == 150_000
    assert seen == sorted(seen)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_file_that_is_cut_while_it_is_read_is_said_to_be(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, GRID, 48_000, subtype=subtype)
    with AudioReader(path) as reader:
        reader.read(1000)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(AudioFileError, match="truncated"):
            reader.read(1000)
