from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import AudioFileError, DiskFullError, ExistsError, ReadOnlyError, RecoveryError
from controller.wav import Bext, WavWriter, recover_wav, wav_layout
from dsp.dither import Ditherer

ROOT = Path(__file__).parents[2]


def written(path, block, *, rate_hz=48_000, pieces=1, **options):
    with WavWriter(path, rate_hz=rate_hz, channels=block.shape[1], **options) as writer:
        for piece in np.array_split(block, pieces):
            writer.write(piece)
    return writer


def ramp(frames, channels):
    steps = np.arange(frames * channels).reshape(frames, channels) % 20_001 - 10_000
    return (steps / 2**15).astype(np.float32)


def chunks(path):
    data = path.read_bytes()
    at, found = 12, {}
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sL", data, at)
        found[name.decode()] = (at + 8, size)
        at += 8 + size + size % 2
    return data, found


@given(
    st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=60),
    st.sampled_from([1, 2, 3, 8]),
)
@settings(max_examples=40)
def test_24_bit_samples_of_a_converter_come_back_bit_by_bit(tmp_path_factory, numbers, channels):
    frames = -(-len(numbers) // channels)
    whole = np.resize(np.array(numbers, np.int64), (frames, channels))
    path = tmp_path_factory.mktemp("w") / "a.wav"
    written(path, (whole / 2**23).astype(np.float32))
    back, rate_hz = soundfile.read(path, dtype="int32", always_2d=True)
    assert rate_hz == 48_000
    assert np.array_equal(back >> 8, whole)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_16_bit_samples_come_back_bit_by_bit(tmp_path, channels):
    whole = np.resize(np.arange(-(2**15), 2**15, 7), (9_000, channels))
    written(tmp_path / "a.wav", (whole / 2**15).astype(np.float32), subtype="PCM_16", pieces=3)
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"
    back, _ = soundfile.read(tmp_path / "a.wav", dtype="int16", always_2d=True)
    assert np.array_equal(back, whole)


def test_the_standard_library_reads_a_16_bit_file(tmp_path):
    written(tmp_path / "a.wav", np.array([[0.5, -1.0], [-(2.0**-15), 1.0]]), rate_hz=44_100, subtype="PCM_16")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (2, 2, 44_100, 2)
        assert file.readframes(2).hex() == "00400080ffffff7f"


def test_dither_of_another_width_than_the_file_s_is_refused(tmp_path):
    with pytest.raises(AudioFileError, match="16 bits cannot hold what was dithered to 24 bits"):
        written(tmp_path / "a.wav", ramp(10, 2), subtype="PCM_16", dither=Ditherer(24, channels=2))


def test_the_standard_library_reads_a_24_bit_file(tmp_path):
    written(tmp_path / "a.wav", np.array([[0.5, -1.0], [-(2.0**-23), 2.0**-23]]), rate_hz=96_000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (2, 3, 96_000, 2)
        assert file.readframes(2).hex() == "000040000080ffffff010000"


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_float_files_keep_what_is_above_full_scale(tmp_path, channels):
    block = 3 * ramp(1000, channels)
    writer = written(tmp_path / "a.wav", block, subtype="FLOAT", pieces=7)
    back, _ = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    assert np.array_equal(back, block)
    assert writer.frames == 1000
    _, found = chunks(tmp_path / "a.wav")
    data = (tmp_path / "a.wav").read_bytes()
    assert struct.unpack_from("<L", data, found["fact"][0])[0] == 1000


def test_bext_lies_as_tech_3285_says(tmp_path):
    bext = Bext(
        description="Blue: mix 1, analog",
        originator_reference="0007",
        date="2024-05-17",
        time="22:03:09",
        time_reference=2**40 + 5,
        coding_history="A=PCM,F=48000,W=24,M=stereo,T=Halfnormal\r\n",
    )
    written(tmp_path / "a.wav", ramp(10, 2), bext=bext)
    data, found = chunks(tmp_path / "a.wav")
    assert list(found) == ["JUNK", "bext", "fmt ", "data"]
    at, size = found["bext"]
    # EBU Tech 3285: 256 + 32 + 32 + 10 + 8 + 4 + 4 + 2 + 64 + 5 × 2 + 180 = 602 bytes, then the history
    assert size == 602 + len(bext.coding_history)
    assert data[at : at + 256].rstrip(b"\0") == b"Blue: mix 1, analog"
    assert data[at + 256 : at + 288].rstrip(b"\0") == b"Halfnormal"
    assert data[at + 288 : at + 320].rstrip(b"\0") == b"0007"
    assert data[at + 320 : at + 338] == b"2024-05-1722:03:09"
    assert struct.unpack_from("<LLH", data, at + 338) == (5, 256, 2)
    assert struct.unpack_from("<5H", data, at + 412) == (0x7FFF,) * 5
    assert data[at + 602 : at + size].decode() == bext.coding_history
    assert found["JUNK"] == (20, 28)


def test_text_that_is_too_long_or_not_ascii_is_cut_not_spilt(tmp_path):
    written(tmp_path / "a.wav", ramp(4, 1), bext=Bext(description="ü" * 400, originator="x" * 99))
    data, found = chunks(tmp_path / "a.wav")
    at, _ = found["bext"]
    assert data[at : at + 288] == b"?" * 256 + b"x" * 32
    assert soundfile.info(tmp_path / "a.wav").frames == 4


def test_an_odd_number_of_bytes_is_padded_and_not_counted(tmp_path):
    written(tmp_path / "a.wav", ramp(5, 1))
    data, found = chunks(tmp_path / "a.wav")
    assert found["data"][1] == 15
    assert len(data) % 2 == 0
    assert struct.unpack_from("<L", data, 4)[0] == len(data) - 8


def test_overs_are_limited_counted_and_placed(tmp_path):
    block = np.zeros((10, 2), np.float32)
    block[6] = [1.5, -2.0]
    block[7, 0] = 1.0
    writer = written(tmp_path / "a.wav", block, pieces=3)
    assert (writer.overs, writer.first_over_frame) == (2, 6)
    back, _ = soundfile.read(tmp_path / "a.wav", dtype="int32")
    assert back[6].tolist() == [(2**23 - 1) << 8, -(2**31)]


def test_dither_makes_the_numbers_of_a_24_bit_file(tmp_path):
    block = np.full((4000, 2), 0.25 / 2**23)
    written(tmp_path / "a.wav", block, dither=Ditherer(24, channels=2, seed=3), pieces=5)
    back, _ = soundfile.read(tmp_path / "a.wav", dtype="int32")
    # Lipshitz, Wannamaker and Vanderkooy 1992: TPDF keeps the mean, the total error has a power of 1/4 step²
    steps = (back >> 8).astype(np.float64)
    assert abs(steps.mean() - 0.25) < 5 * np.sqrt(0.25 / steps.size)
    assert abs(np.mean((steps - 0.25) ** 2) - 0.25) < 0.03


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_with_its_place(tmp_path, bad):
    block = np.zeros((8, 2), np.float32)
    with WavWriter(tmp_path / "a.wav", rate_hz=48_000, channels=2) as writer:
        writer.write(block)
        block[3, 1] = bad
        with pytest.raises(AudioFileError, match="frame 11, channel 2"):
            writer.write(block)
        with pytest.raises(AudioFileError, match="2 channels"):
            writer.write(block[:, :1])
    assert soundfile.info(tmp_path / "a.wav").frames == 8


def test_a_file_in_the_making_is_readable_by_others(tmp_path):
    writer = WavWriter(tmp_path / "a.wav", rate_hz=1000, channels=2, refresh_s=0.1)
    for _ in range(7):
        writer.write(ramp(50, 2))
    back, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    writer.close()
    writer.close()
    assert len(back) == 300
    assert soundfile.info(tmp_path / "a.wav").frames == 350


def test_a_recording_is_never_overwritten(tmp_path):
    (tmp_path / "a.wav").write_text("mine")
    with pytest.raises(ExistsError):
        WavWriter(tmp_path / "a.wav", rate_hz=48_000, channels=2)
    assert (tmp_path / "a.wav").read_text() == "mine"


def test_a_read_only_folder_is_refused_before_anything_is_recorded(read_only_folder):
    with pytest.raises(ReadOnlyError, match="permission denied"):
        WavWriter(read_only_folder / "a.wav", rate_hz=48_000, channels=2)


@pytest.mark.parametrize(("subtype", "size"), [("PCM_16", 4), ("PCM_24", 6), ("FLOAT", 8)])
def test_a_long_file_becomes_rf64(tmp_path, subtype, size):
    path = tmp_path / "a.wav"
    block = ramp(2000, 2)
    written(path, block, subtype=subtype, rf64_above=5000, pieces=4)
    data, found = chunks(path)
    assert data[:8] == b"RF64\xff\xff\xff\xff"
    # EBU Tech 3306: ds64 = RIFF size, data size, sample count as 64-bit numbers, table length
    at, _ = found["ds64"]
    assert struct.unpack_from("<QQQL", data, at) == (len(data) - 8, 2000 * size, 2000, 0)
    assert soundfile.info(path).format == "RF64"
    back, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(back, block)


def test_more_than_4_gib_are_recovered_as_rf64(tmp_path):
    path = tmp_path / "long.wav"
    written(path, ramp(10, 2), rate_hz=192_000)
    frames = 2**32 // 6 + 1000
    layout = wav_layout(path)
    os.truncate(path, layout.data_at + 6 * frames + 4)  # a sparse file: no disk space is taken
    found = recover_wav(path)
    assert (found.frames, found.repaired) == (frames, True)
    info = soundfile.info(path)
    assert (info.format, info.frames, info.samplerate) == ("RF64", frames, 192_000)


KILLED = """
import os, sys, signal
from pathlib import Path
import numpy as np
from controller.wav import WavWriter
writer = WavWriter(Path(sys.argv[1]), rate_hz=48_000, channels=2, subtype=sys.argv[2], refresh_s=0.05)
rng = np.random.default_rng(1)
for block in range(99):
    writer.write((rng.integers(-2**22, 2**22, (777, 2)) / 2**23).astype(np.float32))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_everything_recorded_before_kill_9_is_recovered(tmp_path, subtype):
    path = tmp_path / "a.wav"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), subtype], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    rng = np.random.default_rng(1)
    played = np.concatenate([rng.integers(-(2**22), 2**22, (777, 2)) for _ in range(99)]) / 2**23
    before, _ = soundfile.read(path)
    assert 0 < len(before) < len(played)
    assert np.array_equal(before, played[: len(before)])
    found = recover_wav(path)
    assert (found.frames, found.repaired, found.rate_hz, found.channels) == (76_923, True, 48_000, 2)
    after, _ = soundfile.read(path)
    assert np.array_equal(after, played)
    assert not recover_wav(path).repaired


@given(st.integers(0, 700), st.sampled_from(["PCM_24", "FLOAT"]), st.integers(1, 3))
@settings(max_examples=40)
def test_recovery_keeps_every_whole_frame_wherever_the_file_was_cut(tmp_path_factory, cut, subtype, channels):
    path = tmp_path_factory.mktemp("w") / "a.wav"
    block = ramp(50, channels)
    written(path, block, subtype=subtype)
    layout = wav_layout(path)
    held = max(0, min(cut, 50 * layout.align))
    os.truncate(path, layout.data_at + held)
    frames = held // layout.align
    if frames == 0:
        with pytest.raises(RecoveryError, match="holds no audio"):
            recover_wav(path)
        return
    assert recover_wav(path).frames == frames
    back, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(back, block[:frames])


def test_a_file_that_is_right_is_not_touched(tmp_path):
    path = tmp_path / "a.wav"
    written(path, ramp(50, 1))
    whole = path.read_bytes()
    path.write_bytes(whole + b"LIST\x04\0\0\0INFO")  # what other programs write after the samples
    with path.open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("<L", len(whole) + 12 - 8))
    before = path.read_bytes()
    found = recover_wav(path)
    assert (found.frames, found.repaired) == (50, False)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"just text that is no WAV at all", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"]
)
def test_what_holds_no_audio_is_said_and_left_alone(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(RecoveryError, match="holds no audio"):
        recover_wav(path)
    assert path.read_bytes() == content


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from controller.errors import DiskFullError
from controller.wav import WavWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, 100_001))
try:
    with WavWriter(Path(sys.argv[1]), rate_hz=48_000, channels=2) as writer:
        for _ in range(100):
            writer.write(np.full((1000, 2), 0.5, np.float32))
except DiskFullError as error:
    print(writer.frames, error, "|", error.hint)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a file-size limit")
def test_what_fits_is_kept_when_the_disk_takes_no_more(tmp_path):
    path = tmp_path / "a.wav"
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    frames = int(told.split()[0])
    layout = wav_layout(path)
    assert frames == (100_001 - layout.data_at) // 6
    assert f"{frames} frames" in told and "are kept" in told and "| Free some space" in told
    back, _ = soundfile.read(path)
    assert len(back) == frames
    assert (back == 0.5).all()


@pytest.fixture
def tiny_disk(tmp_path):
    mount = tmp_path / "tiny"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("may not mount a small disk here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_real_disk_that_fills_up_leaves_a_readable_recording(tiny_disk):
    path = tiny_disk / "a.wav"
    writer = WavWriter(path, rate_hz=48_000, channels=2, subtype="FLOAT")
    block = ramp(500, 2)
    with pytest.raises(DiskFullError, match=r"no space left on device; \d+ frames \(\d\.\d s\) are kept"):
        for _ in range(1000):
            writer.write(block)
    writer.close()
    back, _ = soundfile.read(path, dtype="float32")
    assert len(back) == writer.frames > 25_000
    assert np.array_equal(back, np.tile(block, (100, 1))[: len(back)])
