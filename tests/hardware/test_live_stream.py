"""A graph that plays live: what is heard is what a print holds; transport and changes click nowhere."""

from __future__ import annotations

import math
import os
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from live_desk import RATE_HZ, Desk, largest_step, mono, noise, rendered, sine

from dsp import registry
from dsp.dynamics import Compressor
from dsp.errors import DspError
from dsp.filters import Band
from dsp.graph import CHANGE_FRAMES
from dsp.graph_settings import STEREO, Feed, GraphBus, GraphStrip, Insert, ParameterMove
from hardware.errors import AudioError
from hardware.live.callback import FADE_S
from hardware.live.messages import LiveGraph, packed, unpacked

BLOCK = 256
SINE_STEP = 0.25 * 2.0 * math.pi * 997.0 / RATE_HZ
"""The largest step of the sine of the tests from one sample to the next."""


def effect(kind: str, **values: Any) -> Insert:
    return Insert(registry.effect(kind)(**values))


MOVING = mono("c", 0.7, moves=(ParameterMove("trim_db", ((0.0, -6.0), (0.2, -6.0), (0.4, 6.0))),))


def rich() -> LiveGraph:
    """Strips with filters, dynamics, late and modulated inserts, a bus, and something that moves later on."""
    return LiveGraph(
        (
            mono("a", 0.5, bands=(Band("bell", 1000.0, 6.0, 1.0),), compressor=Compressor(-30.0, 4.0, 5.0, 80.0)),
            GraphStrip("b", 2, gains=STEREO, pre=(effect("chorus"),), feeds=(Feed("fx", STEREO),)),
            MOVING,
        ),
        (GraphBus(name="fx", pre=(effect("limiter"),), feeds=(Feed("bus"),)),),
    )


def stems(seconds: float = 0.6) -> list[np.ndarray]:
    return [noise(seconds, 1), noise(seconds, 2, seed=2), noise(seconds, 1, seed=3)]


@pytest.mark.parametrize("block_frames", [64, 256, 1024])
def test_what_is_heard_is_what_a_print_holds_to_the_sample(block_frames: int) -> None:
    desk = Desk(rich(), stems(), block_frames=block_frames)
    begin = desk.play()
    desk.run(24_000 // block_frames)
    heard = desk.audio[begin:, :2]
    assert np.array_equal(heard, rendered(rich(), stems(), len(heard)))


def test_what_moves_at_the_first_frame_is_there_within_a_twentieth_of_a_decibel_and_soon_exact() -> None:
    moving = LiveGraph((replace(MOVING, moves=(ParameterMove("trim_db", ((0.0, -6.0), (0.1, 6.0))),)),))
    desk = Desk(moving, [np.full((9600, 1), 0.1, np.float32)])
    begin = desk.play()
    desk.run(30)
    heard = desk.audio[begin:, :2]
    print_ = rendered(moving, desk.stems, len(heard))
    assert np.abs(20 * np.log10(heard / print_)).max() < 0.05
    assert np.array_equal(heard[256:], print_[256:])


def test_it_is_the_same_song_again_after_it_has_rung_out() -> None:
    desk = Desk(rich(), stems())
    begin = desk.play()
    desk.run(60)
    first = desk.audio[begin:, :2]
    desk.live.stop()
    desk.run(2 + (desk.live.state().tail_frames + desk.live.state().latency_frames) // BLOCK + 8)
    begin = desk.play()
    desk.run(60)
    assert np.array_equal(desk.audio[begin:, :2], first)


def test_only_the_chosen_pair_sounds() -> None:
    desk = Desk(LiveGraph((mono(),)), [noise(0.2)], outputs=(3, 2))
    begin = desk.play()
    desk.run(20)
    heard = desk.audio[begin:]
    assert not heard[:, :2].any()
    assert np.array_equal(heard[:, 3], heard[:, 2])
    assert heard[:, 2].any()


def test_the_output_is_silent_until_it_is_told_a_level_and_rises_within_50_ms() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(1.0)], risen=False)
    desk.play()
    desk.run(20)
    assert not desk.audio.any()
    begin = len(desk.audio)
    desk.live.monitor(0.5)
    desk.run(20)
    heard = desk.audio[begin:, 0]
    assert largest_step(heard[:, None]) < 0.51 * SINE_STEP + 0.25 / (0.05 * RATE_HZ)
    assert np.abs(heard[round(0.05 * RATE_HZ) + BLOCK :]).max() == pytest.approx(0.125, rel=1e-3)


def test_a_fader_is_heard_in_the_next_block_and_does_not_click() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(1.0)])
    desk.play()
    desk.run(20)
    begin = len(desk.audio)
    desk.live.change(LiveGraph((mono(gain=0.5),)))
    desk.run(10)
    plain = rendered(LiveGraph((mono(),)), [sine(1.0)], 40_000)[20 * BLOCK : 30 * BLOCK, 0]
    heard = desk.audio[begin:, 0]
    assert desk.live.heard
    assert np.flatnonzero(heard != plain)[0] <= 16
    assert heard[CHANGE_FRAMES:] == pytest.approx(0.5 * plain[CHANGE_FRAMES:], abs=1e-6)
    assert largest_step(heard[:, None]) < SINE_STEP + 0.25 / CHANGE_FRAMES


def test_many_changes_at_once_end_at_the_last() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(1.0)])
    desk.play()
    for step in range(50):
        desk.live.change(LiveGraph((mono(gain=1.0 - step / 100.0),)))
    while not desk.live.heard:
        desk.run(1)
        desk.live.pump()
    desk.run(CHANGE_FRAMES // BLOCK)
    begin = len(desk.audio)
    desk.run(10)
    assert np.abs(desk.audio[begin:, 0]).max() == pytest.approx(0.51 * 0.25, rel=1e-3)


def test_another_structure_takes_over_without_a_click() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(1.0)])
    desk.play()
    desk.run(20)
    begin = len(desk.audio)
    desk.live.change(LiveGraph((mono(post=(effect("trim", gain_db=-6.0),)),)))
    desk.run(20)
    heard = desk.audio[begin:, :1]
    assert largest_step(heard) < 1.02 * SINE_STEP
    assert np.abs(heard[-2 * BLOCK :]).max() == pytest.approx(0.25 * 10 ** (-6 / 20), rel=1e-3)


def test_a_change_that_cannot_be_made_is_told_and_the_next_one_is_made() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(1.0)])
    desk.play()
    desk.run(4)
    desk.live.change(LiveGraph((mono(feeds=(Feed("nowhere", ((1.0, 1.0),)),)),)))
    desk.run(2)
    refusal = desk.live.refusal()
    assert isinstance(refusal, DspError)
    assert "nowhere" in str(refusal)
    assert desk.live.refusal() is None
    desk.live.change(LiveGraph((mono(gain=0.5),)))
    desk.run(4)
    begin = len(desk.audio)
    desk.run(8)
    assert np.abs(desk.audio[begin:, 0]).max() == pytest.approx(0.125, rel=1e-3)


def test_other_stems_cannot_take_over() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(0.1)])
    with pytest.raises(AudioError, match="Another set of strips"):
        desk.live.change(LiveGraph((mono(), mono("more"))))


def test_stopping_fades_out_in_ten_milliseconds_and_what_rings_rings_out() -> None:
    echo = LiveGraph((mono(post=(effect("delay", time_ms=100.0, feedback_percent=0.0, mix_percent=50.0),)),))
    desk = Desk(echo, [sine(1.0)])
    desk.play()
    desk.run(60)
    begin = len(desk.audio)
    desk.live.stop()
    desk.run(60)
    heard = desk.audio[begin:, :1]
    assert largest_step(heard) < 1.02 * SINE_STEP
    echo_frames = RATE_HZ // 10
    assert np.abs(heard[round(FADE_S * RATE_HZ) + BLOCK : echo_frames]).max() > 0.05
    assert np.abs(heard[echo_frames + round(FADE_S * RATE_HZ) + 2 * BLOCK :]).max() < 1e-6
    assert not desk.live.state().playing


def test_going_elsewhere_does_not_click_and_is_exact_after_the_fade() -> None:
    song = sine(2.0)
    song[RATE_HZ:] = sine(1.0, freq_hz=440.0)
    desk = Desk(LiveGraph((mono(),)), [song])
    desk.play(blocks=40)
    desk.run(20)
    begin = desk.play(RATE_HZ)
    desk.run(40)
    heard = desk.audio[begin:, :1]
    faded = -(-round(FADE_S * RATE_HZ) // BLOCK) * BLOCK
    assert largest_step(heard) < 1.02 * SINE_STEP
    assert np.array_equal(heard[faded:, 0], song[RATE_HZ + faded :][: len(heard) - faded, 0])


def test_a_jump_within_a_block_takes_what_moves_along() -> None:
    # The trim is -6 dB in the song's first half and +6 dB in its second; the seam lies in the middle of a block.
    moving = LiveGraph((mono(moves=(ParameterMove("trim_db", ((0.5, -6.0), (0.5, 6.0))),)),))
    steady = np.full((RATE_HZ, 1), 0.1, np.float32)
    desk = Desk(moving, [steady])
    begin = desk.play(0, blocks=2)
    desk.live.feed([steady[:BLOCK]], 512, 64, 36_000)
    desk.live.feed([steady[:BLOCK]], 36_000 + 192, BLOCK, 0)
    desk.live.advance(4)
    desk.live.check()
    heard = desk.audio[begin:, 0]
    assert heard[:576] == pytest.approx(0.1 * 10 ** (-6 / 20), rel=1e-4)
    assert heard[576 + 16 :] == pytest.approx(0.1 * 10 ** (6 / 20), rel=1e-4)


def test_a_starved_ring_is_silence_and_an_xrun_and_what_follows_is_in_its_place() -> None:
    desk = Desk(LiveGraph((mono(),)), [noise(0.2)])
    begin = desk.play(blocks=4)
    desk.live.advance(6)
    desk.feed(4)
    desk.live.advance(4)
    heard = desk.audio[begin:, 0]
    song = desk.stems[0][:, 0]
    assert not heard[4 * BLOCK : 6 * BLOCK].any()
    assert np.array_equal(heard[6 * BLOCK :], song[4 * BLOCK : 8 * BLOCK])
    (xrun,) = desk.live.xruns()
    assert (xrun.frames, xrun.kind) == (2 * BLOCK, "feeder")


def test_the_song_ends_by_itself_without_an_xrun() -> None:
    desk = Desk(LiveGraph((mono(),)), [sine(1.0)])
    begin = desk.play(blocks=8)
    desk.live.end_at(6)
    desk.live.advance(20)
    heard = desk.audio[begin:, :1]
    assert largest_step(heard) < 1.02 * SINE_STEP
    assert np.array_equal(heard[: 6 * BLOCK, 0], desk.stems[0][: 6 * BLOCK, 0])
    assert not heard[8 * BLOCK :].any()
    assert not desk.live.state().playing
    assert desk.live.xruns() == []


def test_what_is_no_number_never_reaches_an_output() -> None:
    song = noise(0.3)
    song[1000:1010] = np.nan
    song[3000] = np.inf
    desk = Desk(LiveGraph((mono(),)), [song])
    begin = desk.play()
    desk.run(40)
    heard = desk.audio[begin:, 0]
    assert np.isfinite(heard).all()
    assert not heard[1000:1010].any()
    assert np.array_equal(heard[1010:3000], song[1010:3000, 0])


def test_a_message_holds_what_changed_and_nothing_else() -> None:
    before = LiveGraph((mono("a"), mono("b")), (GraphBus(name="fx"),))
    after = replace(before, strips=(mono("a"), mono("b", 0.5)))
    delta = after.changed_from(before)
    assert (set(delta.strips), delta.busses, delta.bus) == ({1}, None, None)
    assert unpacked(packed(delta)[4:]).applied(before) == after


def test_a_message_that_names_something_else_is_refused() -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, ("true",)

    with pytest.raises(pickle.UnpicklingError, match=r"system is no part of a graph"):
        unpacked(pickle.dumps(Evil()))


def test_a_graph_that_cannot_be_sent_is_refused_before_anything_plays() -> None:
    with pytest.raises(AudioError, match="cannot be played live"):
        packed(LiveGraph((mono(automation=lambda at_s: at_s),)))
