"""A mix that plays through the audio process on a real JACK server, and what a client that only listens hears.

Two shared cores see xruns: what is heard must be exact outside of them, and nothing may be out of its place.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from real_parts import ROOT, Served

from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import CHANGE_FRAMES, MixGraph
from dsp.graph_settings import STEREO, Feed, GraphBus, GraphStrip, Insert
from dsp.registry import effect
from hardware.errors import AudioDeviceNotFoundError, AudioError, ChannelCountError
from hardware.live.messages import LiveGraph
from hardware.ports.live import LiveProcess

pytestmark = pytest.mark.real

JACK = "JACK Audio Connection Kit"
RATE_HZ = 48_000
BLOCK = 256
SECONDS = 2
FRAMES = SECONDS * RATE_HZ // BLOCK * BLOCK
RNG = np.random.default_rng(5)
STEMS = [(0.1 * RNG.standard_normal((FRAMES, channels))).astype(np.float32) for channels in (1, 2, 1)]
SINE = (0.25 * np.sin(2 * np.pi * 997 * np.arange(FRAMES) / RATE_HZ)).astype(np.float32)[:, None]
SINE_STEP = 0.25 * 2 * np.pi * 997 / RATE_HZ


def rich() -> LiveGraph:
    """Filters, a compressor, a late and a modulated insert, a bus."""
    return LiveGraph(
        (
            GraphStrip(
                "a",
                gains=((0.5, 0.3),),
                bands=(Band("bell", 1000.0, 6.0, 1.0),),
                compressor=Compressor(-30.0, 4.0, 5.0, 80.0),
            ),
            GraphStrip("b", 2, gains=STEREO, pre=(Insert(effect("chorus")()),), feeds=(Feed("fx", STEREO),)),
            GraphStrip("c", gains=((0.7, 0.7),)),
        ),
        (GraphBus(name="fx", pre=(Insert(effect("limiter")()),), feeds=(Feed("bus"),)),),
    )


def plain(gain: float = 1.0) -> LiveGraph:
    return LiveGraph((GraphStrip("a", gains=((gain, gain),)),))


class Ear:
    """A listening JACK client in a process of its own; it keeps all it hears."""

    def __init__(self, folder: Path, name: str, channels: int = 4) -> None:
        self._served = Served(
            folder, command=(str(ROOT / "tests" / "integration" / "jack_ear.py"), name, str(channels))
        )
        self._file = folder / "heard.npy"
        self._served.line()

    def heard(self) -> np.ndarray:
        """All that was heard until now, (frames, channels)."""
        self._served.ask(f"keep {self._file}")
        audio: np.ndarray = np.load(self._file)
        return audio

    def close(self) -> None:
        self._served.close()


@pytest.fixture
def ear(jack: str, tmp_path: Path) -> Iterator[Ear]:
    made = Ear(tmp_path, "Ear")
    yield made
    made.close()


def opened(graph: LiveGraph, *, name: str = "Ear", outputs: int = 4, pair: tuple[int, int] = (0, 1)) -> LiveProcess:
    return LiveProcess(
        name,
        graph,
        host_api=JACK,
        rate_hz=RATE_HZ,
        block_frames=BLOCK,
        outputs=pair,
        channels_out=outputs,
        ring_s=1.0,
    )


def play(live: LiveProcess, stems: list[np.ndarray], at: Callable[[int], None] = lambda block: None) -> None:
    """Play the stems to their end; ``at`` is told every block of them that has been played."""
    begin, fed, told = live.begin_here(), 0, 0

    def feed() -> None:
        nonlocal fed
        while fed < FRAMES // BLOCK and live.room_blocks:
            live.feed([stem[fed * BLOCK : (fed + 1) * BLOCK] for stem in stems], fed * BLOCK, BLOCK, 0)
            fed += 1

    feed()
    live.end_at(1 << 40)
    live.play(begin)
    while (played := live.state().played_frames // BLOCK) < FRAMES // BLOCK:
        live.check()
        live.pump()
        feed()
        while told < played:
            at(told)
            told += 1
        live.wait(0.002)


def after_rise(live: LiveProcess) -> None:
    live.monitor(1.0)
    live.wait(0.15)


def song_in(heard: np.ndarray, song: np.ndarray) -> np.ndarray:
    """Where each sample of ``song`` was heard: frames of ``heard`` by frames of the song, -1 where an xrun took it.

    Its pieces between xruns are found one after the other: a starved block is silence put in, a lost one is gone.
    """
    places = np.full(len(song), -1)
    first = int(np.flatnonzero(song.any(axis=1))[0])
    at = int(np.flatnonzero(heard.any(axis=1))[0]) - first
    for start in range(0, len(song) - BLOCK + 1, BLOCK):
        piece = song[start : start + BLOCK]
        for shift in (0, *(sign * BLOCK * n for n in range(1, 9) for sign in (1, -1))):
            begin = at + start + shift
            if begin >= 0 and np.array_equal(heard[begin : begin + BLOCK], piece):
                places[start : start + BLOCK] = np.arange(begin, begin + BLOCK)
                at += shift
                break
    return places


def test_what_is_heard_is_the_render_of_the_same_graph_to_the_sample(ear: Ear) -> None:
    with opened(rich(), pair=(2, 3)) as live:
        after_rise(live)
        play(live, STEMS)
        xruns = live.xruns()
        assert (live.device, live.host_api) == ("Ear", JACK)
        assert 0.0 < live.callback_ms(0.5) <= live.callback_ms(0.99)
    heard = ear.heard()
    with MixGraph(rich().strips, rich().busses, rich().bus, rate_hz=RATE_HZ, threads=1) as graph:
        song = graph.process(STEMS).bus.astype(np.float32)
    places = song_in(heard[:, 2:], song[: FRAMES - BLOCK])
    lost = np.count_nonzero(places < 0)
    assert lost <= sum(x.frames for x in xruns) + 2 * BLOCK * len(xruns) + (BLOCK if xruns else 0)
    assert not heard[:, :2].any()


def gains_of(heard: np.ndarray, song: np.ndarray) -> np.ndarray:
    """How loud each block of ``song`` was heard, behind its first step; NaN for one that was not heard as such."""
    gains = np.full(len(song) // BLOCK, np.nan)
    at = int(np.flatnonzero(heard)[0]) - int(np.flatnonzero(song)[0])
    for number in range(len(gains)):
        piece = song[number * BLOCK + 16 : (number + 1) * BLOCK]
        for shift in (0, *(sign * BLOCK * n for n in range(1, 9) for sign in (1, -1))):
            begin = at + number * BLOCK + shift + 16
            part = heard[begin : begin + len(piece)]
            if begin >= 0 and len(part) == len(piece):
                gain = float(part @ piece) / float(piece @ piece)
                if gain > 0.1 and np.allclose(part, gain * piece, atol=1e-6):
                    gains[number] = gain
                    at += shift
                    break
    return gains


def test_a_fader_is_heard_in_the_next_block_or_the_one_behind_it(ear: Ear) -> None:
    moves: list[tuple[int, float]] = []

    def move(block: int) -> None:
        if block % 30 == 29:
            gain = 0.5 if len(moves) % 2 == 0 else 1.0
            moves.append((live.state().played_frames // BLOCK, gain))
            live.change(plain(gain))

    with opened(plain()) as live:
        after_rise(live)
        play(live, [STEMS[0]], move)
    gains = gains_of(ear.heard()[:, 0], STEMS[0][:, 0])
    late = []
    for block, gain in moves:
        there = np.flatnonzero(np.isclose(gains[block:], gain, atol=1e-4))
        late.append(int(there[0]) - CHANGE_FRAMES // BLOCK if len(there) else 999)
    # From the block on that the callback was to take when the hand moved; the fader's own way is not counted.
    assert np.median(late) <= 1, late


def test_stopping_and_closing_end_in_silence_without_a_click(ear: Ear) -> None:
    def stop(block: int) -> None:
        if block == 60:
            live.stop()
            live.wait(0.2)
            raise StopIteration

    with opened(plain()) as live:
        after_rise(live)
        with pytest.raises(StopIteration):
            play(live, [SINE], stop)
        xruns = live.xruns()
        assert not live.state().playing
    heard = ear.heard()[:, 0]
    assert xruns or np.abs(np.diff(heard)).max() < 1.02 * SINE_STEP
    assert not heard[-BLOCK:].any()


def test_another_structure_is_built_beside_and_blended_in(ear: Ear) -> None:
    softer = LiveGraph((GraphStrip("a", gains=((1.0, 1.0),), post=(Insert(effect("trim")(gain_db=-6.0)),)),))

    def change(block: int) -> None:
        if block == 40:
            live.change(softer)

    with opened(plain()) as live:
        after_rise(live)
        play(live, [SINE], change)
        xruns = live.xruns()
        assert live.heard
        assert live.refusal() is None
    heard = ear.heard()[:, 0]
    assert xruns or np.abs(np.diff(heard)).max() < 1.02 * SINE_STEP
    last = heard[: np.flatnonzero(heard)[-1]][-4800:]
    assert np.abs(last[:2400]).max() == pytest.approx(0.25 * 10 ** (-6 / 20), rel=1e-3)


def test_a_refused_change_is_told_and_the_song_plays_on(ear: Ear) -> None:
    def change(block: int) -> None:
        if block == 40:
            live.change(LiveGraph((GraphStrip("a", gains=((1.0, 1.0),), feeds=(Feed("nowhere", ((1.0, 1.0),)),)),)))

    with opened(plain()) as live:
        after_rise(live)
        play(live, [SINE], change)
        refusal = live.refusal()
        assert refusal is not None
        assert "nowhere" in str(refusal)
        live.change(plain(0.5))
        live.wait(0.2)
        live.pump()
        assert live.heard
        assert live.refusal() is None


PARENT = """
import sys, time
sys.path.insert(0, {here!r})
from test_live_on_jack import SINE, after_rise, opened, plain, play
live = opened(plain())
after_rise(live)
print(live.pid, flush=True)
play(live, [SINE])
"""


def test_a_parent_that_is_killed_leaves_silence_and_no_process(ear: Ear) -> None:
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(here=here)], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        time.sleep(0.6)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    deadline = time.monotonic() + 10.0
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline, "the audio process lives on"
        time.sleep(0.05)
    heard = ear.heard()[:, 0]
    assert heard.any()
    assert not heard[-4 * BLOCK :].any()


def test_a_killed_audio_process_is_an_error(ear: Ear) -> None:
    def kill(block: int) -> None:
        if block == 40:
            os.kill(live.pid, signal.SIGKILL)
            live.wait(0.1)

    with opened(plain()) as live, pytest.raises(AudioError, match="signal 9"):
        play(live, [SINE], kill)


def test_a_server_that_ends_while_a_mix_plays_is_an_error(own_jack, tmp_path: Path) -> None:
    ear = Ear(tmp_path, "Brief")

    def pull(block: int) -> None:
        if block == 40:
            own_jack.stop()
            for _ in range(600):
                live.check()
                live.wait(0.01)

    try:
        with opened(plain(), name="Brief") as live, pytest.raises(AudioError):
            play(live, [SINE], pull)
    finally:
        ear._served.process.kill()
        ear.close()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "NoSuchEar"}, AudioDeviceNotFoundError, '"Ear"'),
        ({"outputs": 12}, ChannelCountError, "has 4 outputs"),
        ({"outputs": 1}, ChannelCountError, "outputs within"),
    ],
)
def test_what_cannot_be_opened_is_said(ear: Ear, options: dict, error: type[AudioError], words: str) -> None:
    with pytest.raises(error, match=words):
        opened(plain(), **options)


def test_a_graph_that_cannot_be_built_is_said(ear: Ear) -> None:
    broken = LiveGraph((GraphStrip("a", gains=((1.0, 1.0),), feeds=(Feed("nowhere", ((1.0, 1.0),)),)),))
    with pytest.raises(AudioError, match=r"cannot be played: .*nowhere"):
        opened(broken)
