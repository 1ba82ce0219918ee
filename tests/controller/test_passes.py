"""A pass knows which samples it lost, and records only those again."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.events import Finding
from controller.passes import Patch, patched, record_pass
from controller.wav import WavWriter
from controller.xruns import clean_stretches, damaged_regions
from hardware.errors import AudioDropoutError
from hardware.seams import RunReport, Xrun

RATE = 8_000
LATENCY = 40


class RampSource:
    """Frame n of the song has the value n/2^20, so that every misplaced sample shows."""

    def __init__(self, start):
        self.at = start
        self.levels_dbfs = {}

    def read(self, frames):
        block = np.arange(self.at, self.at + frames, dtype=np.float64)[:, None] / 2**20
        self.at += frames
        return block.astype(np.float32)


class FlakyStream:
    """Returns what was played, LATENCY frames later; the n-th run loses the frames that ``losses[n]`` names."""

    rate_hz = RATE
    block_frames = 64
    outputs = 1
    inputs = 1

    def __init__(self, losses):
        self.losses = losses
        self.runs = []

    def run(self, source, sink, frames, *, progress=None):
        run = len(self.runs)
        self.runs.append(frames)
        played = np.zeros((frames + LATENCY, 1), np.float32)
        block = source.read(frames)
        played[LATENCY : LATENCY + len(block)] = block
        xruns = []
        for at, length in self.losses.get(run, []):
            played[at : at + length] = 0.5
            xruns.append(Xrun(at, length, "input"))
        for begin in range(0, frames, 64):
            sink.write(played[begin : min(begin + 64, frames)])
        return RunReport(frames, tuple(xruns))

    def close(self):
        pass


def record(tmp_path, losses, frames=40_000):
    stream = FlakyStream(losses)
    findings = []
    writer = WavWriter(tmp_path / "take.wav", rate_hz=RATE, channels=1, subtype="FLOAT")
    try:
        recording = record_pass(stream, RampSource, writer, frames=frames, latency_frames=LATENCY, emit=findings.append)
    finally:
        writer.close()
    return stream, recording, [f for f in findings if isinstance(f, Finding)]


def repaired_audio(tmp_path, recording):
    import soundfile

    audio, _ = soundfile.read(str(tmp_path / "take.wav"), dtype="float32", always_2d=True)
    return patched(audio, 0, recording.patches, rate_hz=RATE)


def test_a_clean_pass_is_recorded_once_and_has_nothing_to_repair(tmp_path):
    stream, recording, findings = record(tmp_path, {})
    assert len(stream.runs) == 1
    assert recording.patches == ()
    assert findings == []


def test_only_the_damaged_region_is_recorded_again_and_the_splice_is_sample_exact(tmp_path):
    stream, recording, findings = record(tmp_path, {0: [(20_000, 64)]})
    assert len(stream.runs) == 2
    assert stream.runs[1] < 20_000
    song = np.zeros(40_000, np.float32)
    song[LATENCY:] = (np.arange(40_000 - LATENCY) / 2**20).astype(np.float32)
    np.testing.assert_allclose(repaired_audio(tmp_path, recording)[:, 0], song, atol=1e-7)
    assert "2.4" in findings[0].what or "2.5" in findings[0].what


@pytest.mark.parametrize("at", [0, 39_900])
def test_damage_at_either_end_of_a_pass_is_repaired_too(tmp_path, at):
    _, recording, _ = record(tmp_path, {0: [(at, 64)]})
    song = np.zeros(40_000, np.float32)
    song[LATENCY:] = (np.arange(40_000 - LATENCY) / 2**20).astype(np.float32)
    np.testing.assert_allclose(repaired_audio(tmp_path, recording)[:, 0], song, atol=1e-7)


def test_a_repair_that_is_disturbed_itself_is_tried_again(tmp_path):
    stream, recording, _ = record(tmp_path, {0: [(5_000, 64)], 1: [(4_900, 64)]})
    assert len(stream.runs) == 3
    assert len(recording.patches) == 1


def test_a_region_that_never_comes_clean_is_named_and_the_rest_stays_on_disk(tmp_path):
    with pytest.raises(AudioDropoutError, match=r"0\.\d\d–0\.\d\d s .* the rest is recorded"):
        record(tmp_path, {run: [(5_000, 64)] for run in range(10)})
    import soundfile

    assert soundfile.info(str(tmp_path / "take.wav")).frames == 40_000


@given(st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 300)), max_size=20))
def test_every_damaged_frame_lies_in_a_region_and_regions_neither_touch_nor_leave_the_pass(places):
    xruns = [Xrun(at, length, "input") for at, length in places]
    regions = damaged_regions(xruns, frames=10_000, guard=100, merge=50)
    for xrun in xruns:
        last = min(xrun.at_frame + xrun.frames, 10_000) - 1
        assert any(begin <= xrun.at_frame and last < end for begin, end in regions)
    assert all(0 <= begin < end <= 10_000 for begin, end in regions)
    assert all(before[1] + 50 < after[0] for before, after in itertools.pairwise(regions))


@given(st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 300)), max_size=20))
def test_every_frame_is_either_clean_or_damaged(places):
    xruns = [Xrun(at, length, "input") for at, length in places]
    inside = np.zeros(10_000, int)
    for begin, end in damaged_regions(xruns, frames=10_000, guard=100, merge=0):
        inside[begin:end] += 1
    for begin, end in clean_stretches(xruns, frames=10_000, guard=100):
        inside[begin:end] += 1
    assert (inside == 1).all()


@given(st.integers(1, 500), st.integers(0, 1_000))
def test_patching_gives_the_same_samples_whatever_the_block_size(size, start):
    rng = np.random.default_rng(7)
    raw = rng.standard_normal((3_000, 2)).astype(np.float32)
    patches = [Patch(start, rng.standard_normal((700, 2)).astype(np.float32))]
    whole = patched(raw.copy(), 0, patches, rate_hz=RATE)
    pieces = [patched(raw[at : at + size].copy(), at, patches, rate_hz=RATE) for at in range(0, 3_000, size)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
