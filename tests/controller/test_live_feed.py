"""What a live stream is fed with: the song's samples at their frames, and a loop that does not click."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.errors import UsageError
from controller.live_feed import SEAM_S, Loop, SongFeed, loop_between
from controller.project import Project, create_project

RATE_HZ = 48_000
FRAMES = 40_000
SINE = (0.25 * np.sin(2 * math.pi * 997 * np.arange(FRAMES) / RATE_HZ)).astype(np.float32)[:, None]
NOISE = (0.1 * np.random.default_rng(1).standard_normal((FRAMES // 2, 2))).astype(np.float32)
SINE_STEP = 0.25 * 2 * math.pi * 997 / RATE_HZ


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A song of a mono and a shorter stereo stem."""
    folder = tmp_path_factory.mktemp("song")
    (folder / "stems").mkdir()
    soundfile.write(folder / "stems" / "a.wav", SINE, RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "stems" / "b.wav", NOISE, RATE_HZ, subtype="FLOAT")
    return create_project(folder / "song", stems=folder / "stems")


def read(feed: SongFeed, blocks: int) -> tuple[list[np.ndarray], list[tuple[int, int, int]]]:
    """The stems of so many blocks, joined, and each block's song frame and jump."""
    made = [feed.read() for _ in range(blocks)]
    joined = [np.concatenate([block.stems[i] for block in made]) for i in range(2)]
    return joined, [(block.song, block.jump_at, block.jump_to) for block in made]


@given(start=st.integers(0, FRAMES + 5000), block=st.sampled_from([32, 256, 1008, 4096]), count=st.integers(1, 12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_are_the_song_from_the_step_it_was_sent_to(project: Project, start: int, block: int, count: int) -> None:
    with SongFeed(project, ["a.wav", "b.wav"], block) as feed:
        feed.locate(start)
        audio, marks = read(feed, count)
    first = start - start % 16
    for found, stem in zip(audio, (SINE, NOISE), strict=True):
        assert np.array_equal(found, np.pad(stem, ((0, first + block * count), (0, 0)))[first : first + len(found)])
    assert marks == [(first + i * block, block, 0) for i in range(count)]


@given(
    begin=st.integers(0, 800),
    length=st.integers(750, 1400),
    start=st.integers(0, 700),
    block=st.sampled_from([64, 256, 1024]),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_loop_comes_round_at_its_frame_and_nowhere_clicks(
    project: Project, begin: int, length: int, start: int, block: int
) -> None:
    loop = Loop(16 * begin, 16 * (begin + length))
    seam = math.ceil(SEAM_S * RATE_HZ)
    with SongFeed(project, ["a.wav", "b.wav"], block) as feed:
        feed.locate(min(16 * start, loop.end - 16))
        first = feed.position
        feed.set_loop(loop)
        audio, marks = read(feed, 3 * 16 * length // block)
    song, expected = first, []
    for _ in range(len(audio[0])):
        expected.append(song)
        song = loop.begin if song + 1 == loop.end else song + 1
    plain = np.array([frame < loop.end - seam for frame in expected])
    assert np.array_equal(audio[0][plain], SINE[expected][plain])
    assert np.abs(np.diff(audio[0][:, 0])).max() < SINE_STEP + 0.25 * math.pi / seam
    for number, (at, jump_at, jump_to) in enumerate(marks):
        assert at == expected[number * block]
        if jump_at < block:
            assert (expected[number * block + jump_at], jump_to, jump_at % 16) == (loop.begin, loop.begin, 0)


def test_a_loop_that_is_too_short_is_refused_with_the_shortest() -> None:
    with pytest.raises(UsageError, match="too short") as caught:
        loop_between(1.0, 1.2, RATE_HZ)
    assert "0.25 s" in caught.value.hint
