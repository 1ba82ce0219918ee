"""The mix graph: what meets, meets at one moment of the song, for any block size and any number of threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graph_effects import Late, Ringing, TimesKey
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.dynamics import Compressor
from dsp.errors import DspError, ShapeError
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert
from dsp.processors.trim import Advance, Trim

RATE = 48_000
FRAMES = 12_000
LEFT, BOTH = ((1.0, 0.0),), ((1.0, 1.0),)
THROUGH = ((1.0, 0.0), (0.0, 1.0))


def noise(frames: int = FRAMES, channels: int = 1, seed: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def late(frames: int) -> Insert:
    return Insert(Late(frames=float(frames)))


def strip(name: str, **settings) -> GraphStrip:
    return GraphStrip(name, **{"gains": BOTH, **settings})


def bus(name: str, *feeds: Feed, **settings) -> GraphBus:
    return GraphBus(name=name, feeds=feeds or (Feed(),), **settings)


def render(strips, audio, busses=(), main=None, *, cuts=(), **options):
    """The graph's blocks joined, what is latency left out at the beginning."""
    usual = {"threads": 1, "pre": [s.name for s in strips]}
    with MixGraph(strips, busses, main, rate_hz=RATE, **{**usual, **options}) as graph:
        late_by = graph.latency_frames
        pieces = [np.split(np.concatenate([s, np.zeros((late_by, s.shape[1]), np.float32)]), cuts) for s in audio]
        blocks = [graph.process(list(block)) for block in zip(*pieces, strict=True)]
    first = blocks[0]
    return {
        "bus": np.concatenate([b.bus for b in blocks])[late_by:],
        "pre": [np.concatenate([b.pre[i] for b in blocks])[late_by:] for i in range(len(strips))],
        "stems": {name: np.concatenate([b.stems[name] for b in blocks])[late_by:] for name in first.stems},
        "busses": {name: np.concatenate([b.busses[name] for b in blocks])[late_by:] for name in first.busses},
        "graph": graph,
    }


def test_a_plain_mix_is_the_sum_of_its_strips_times_their_gains() -> None:
    x, y = noise(), noise(channels=2, seed=2)
    strips = [strip("x", gains=((0.3, 0.6),)), strip("y", channels=2, gains=((0.5, 0.1), (0.0, 2.0)))]
    out = render(strips, [x, y])
    left = 0.3 * x[:, 0] + 0.5 * y[:, 0]
    right = 0.6 * x[:, 0] + 0.1 * y[:, 0] + 2.0 * y[:, 1]
    np.testing.assert_allclose(out["bus"], np.stack([left, right], axis=1), atol=1e-7)
    assert np.array_equal(out["pre"][1], y)
    assert out["graph"].latency_frames == 0


def test_the_main_bus_has_its_inserts_bands_compressor_and_fader() -> None:
    main = GraphBus(pre=(Insert(Trim(gain_db=-6.0)),), compressor=Compressor(-20.0, 2.0, 1.0, 50.0, 0.0), fader_db=-3.0)
    out = render([strip("dc")], [np.ones((RATE, 1), np.float32)], main=main)
    # −6 dB is 14 dB above the threshold; half of that remains, and the fader takes 3.
    assert 20 * math.log10(out["bus"][-1, 0]) == pytest.approx(-20.0 + 7.0 - 3.0, abs=0.01)


def test_inserts_stand_behind_the_trim_and_around_the_equaliser() -> None:
    x = noise()
    strips = [
        strip("x", trim_db=6.0, polarity_inverted=True, pre=(Insert(Trim(gain_db=-6.0)),), bands=()),
        strip(
            "y", trim_db=6.0, compressor=Compressor(-60.0, 1.0, 1.0, 1.0, 0.0, 3.0), post=(Insert(Trim(gain_db=-9.0)),)
        ),
    ]
    out = render(strips, [x, x])
    np.testing.assert_allclose(out["pre"][0], -x, rtol=1e-5)
    np.testing.assert_allclose(out["pre"][1], x, rtol=1e-5)


def fading(at_s):
    gains = np.zeros((len(at_s), 1, 2))
    gains[:, 0, :] = np.clip(1.0 - at_s[:, None] / 0.2, 0.0, 1.0)
    return gains


def with_send(at_s):
    return np.concatenate([fading(at_s), np.full((len(at_s), 1, 1), 0.5)], axis=2)


@pytest.mark.parametrize("frames", [1, 63, 100, 4_097])
@pytest.mark.parametrize("place", ["pre", "post", "both"])
def test_a_late_insert_on_one_strip_moves_nothing_in_the_mix(frames, place) -> None:
    def song(**inserts):
        return [
            strip("a", bands=(Band("bell", 500.0, 3.0),), automation=with_send, **inserts),
            strip("b", hpf_hz=50.0, automation=with_send),
            strip("c", output="group"),
        ]

    stems = [noise(seed=i) for i in range(3)]
    inserts = {name: (late(frames),) for name in ("pre", "post") if place in (name, "both")}
    busses = [bus("group", pre=(late(17),))]
    plain, delayed = render(song(), stems, busses), render(song(**inserts), stems, busses)
    assert all(np.array_equal(a, b) for a, b in zip(plain["pre"], delayed["pre"], strict=True))
    # Strips with and without inserts behind lie in other groups of lanes, and are summed in another order.
    np.testing.assert_allclose(delayed["bus"], plain["bus"], atol=2e-7)
    graph = delayed["graph"]
    own = frames * len(inserts)
    assert graph.late_frames == {"strip a": own, "bus group": 17}
    assert graph.latency_frames == math.ceil(own / 16) * 16 + 17


def test_a_parallel_bus_is_in_step_with_what_went_straight() -> None:
    x = noise()
    strips = [strip("x", feeds=(Feed("parallel", ((-1.0, -1.0),)),))]
    out = render(strips, [x], [bus("parallel", pre=(late(50),), post=(late(7),))])
    assert not np.any(out["bus"])


def test_busses_feed_busses_and_each_way_waits_for_the_longest() -> None:
    x = noise()
    strips = [strip("x", output="one")]
    busses = [
        bus("two", Feed(gains=((0.25, 0.0), (0.0, 0.25)))),
        bus("one", Feed("two"), Feed(gains=((0.5, 0.0), (0.0, 0.5))), pre=(late(33),)),
    ]
    busses[0] = bus("two", *busses[0].feeds, pre=(late(400),))
    out = render(strips, [x], busses, with_busses=True)
    np.testing.assert_allclose(out["bus"][:, 0], 0.75 * x[:, 0], atol=1e-7)
    assert np.array_equal(out["busses"]["one"][:, 0], x[:, 0])
    np.testing.assert_allclose(out["busses"]["two"][:, 1], 0.25 * x[:, 0], atol=1e-7)
    assert out["graph"].latency_frames == 433


@pytest.mark.parametrize(("on_signal", "on_key"), [(0, 0), (30, 500), (500, 30)])
def test_a_key_is_of_the_same_moment_as_the_signal(on_signal, on_key) -> None:
    x, k = noise(seed=1), noise(seed=2)
    strips = [
        strip("x", pre=(late(on_signal),), post=(Insert(TimesKey(), key="kick"),)),
        strip("kick", post=(late(on_key),), on_bus=False),
    ]
    out = render(strips, [x, k])
    np.testing.assert_allclose(out["bus"][:, 0], x[:, 0] * k[:, 0], atol=1e-7)
    # A bank of strips leaves at whole steps of 16 frames.
    key_late = math.ceil(on_key / 16) * 16
    assert out["graph"].latency_frames == math.ceil(max(on_signal, key_late) / 16) * 16


def test_a_bus_can_be_the_key_of_a_strip_and_a_strip_that_of_a_bus() -> None:
    x, y, z = (noise(seed=i) for i in range(3))
    strips = [
        strip("x", pre=(Insert(TimesKey(), key="group"),)),
        strip("y", output="group", gains=LEFT),
        strip("z", on_bus=False),
    ]
    busses = [bus("group", pre=(late(40), Insert(TimesKey(), key="z")))]
    out = render(strips, [x, y, z], busses)
    group = y[:, 0] * z[:, 0]
    np.testing.assert_allclose(out["bus"][:, 0], x[:, 0] * group + group, atol=1e-7)
    assert out["graph"].late_frames["strip x"] == 40


def test_a_key_is_heard_before_its_fader() -> None:
    strips = [strip("x", pre=(Insert(TimesKey(), key="k"),)), strip("k", gains=((0.0, 0.0),))]
    x, k = noise(seed=1), noise(seed=2)
    np.testing.assert_allclose(render(strips, [x, k])["bus"][:, 0], x[:, 0] * k[:, 0], atol=1e-7)


def test_an_advance_comes_before_everything_else() -> None:
    x = noise()
    out = render([strip("x"), strip("early", pre=(Insert(Advance(advance_ms=2.0)),), gains=((-1.0, -1.0),))], [x, x])
    np.testing.assert_allclose(out["bus"][:-96, 0], x[:-96, 0] - x[96:, 0], atol=1e-7)


def song_with_everything():
    strips = [
        strip("a", hpf_hz=60.0, pre=(late(100), Insert(TimesKey(), key="d")), output="group", send=0.3),
        strip("b", channels=2, gains=THROUGH, automation=None, post=(late(33),)),
        strip(
            "c", compressor=Compressor(-24.0, 3.0, 3.0, 80.0), automation=with_send, feeds=(Feed("par", LEFT, fading),)
        ),
        strip("d", on_bus=False, feeds=(Feed("par", BOTH),)),
    ]
    busses = [
        bus("group", Feed(), Feed("par"), bands=(Band("bell", 800.0, 2.0),), pre=(Insert(Trim(gain_db=1.0)),)),
        bus("par", Feed(automation=lambda at_s: np.repeat(fading(at_s), 2, axis=1)), post=(late(5),)),
        bus("n-1", Feed(""), minus="b"),
    ]
    return strips, busses, GraphBus(post=(late(9),), fader_db=-1.0)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, FRAMES), max_size=8), st.sampled_from([1, 2, 3]))
def test_any_block_size_and_any_number_of_threads_give_the_same_bits(cuts, threads) -> None:
    strips, busses, main = song_with_everything()
    stems = [noise(channels=s.channels, seed=i) for i, s in enumerate(strips)]
    options = {"stems": [s.name for s in strips], "with_busses": True}
    whole = render(strips, stems, busses, main, **options)
    other = render(strips, stems, busses, main, cuts=sorted(cuts), threads=threads, **options)
    assert np.array_equal(whole["bus"], other["bus"])
    assert all(np.array_equal(a, b) for a, b in zip(whole["pre"], other["pre"], strict=True))
    assert set(whole["stems"]) == {"a", "b", "c"}
    assert set(whole["busses"]) == {"group", "par", "n-1"}
    for kind in ("stems", "busses"):
        assert all(np.array_equal(whole[kind][name], other[kind][name]) for name in whole[kind])


def test_asking_for_stems_and_busses_changes_nothing_of_the_mix() -> None:
    strips, busses, main = song_with_everything()
    stems = [noise(channels=s.channels, seed=i) for i, s in enumerate(strips)]
    asked = render(strips, stems, busses, main, stems=["a", "c"], with_busses=True)
    assert np.array_equal(render(strips, stems, busses, main)["bus"], asked["bus"])


def test_stems_and_busses_that_feed_the_main_bus_add_up_to_it() -> None:
    strips, busses, _ = song_with_everything()
    stems = [noise(channels=s.channels, seed=i) for i, s in enumerate(strips)]
    out = render(strips, stems, busses, stems=["b", "c"], with_busses=True)
    parts = out["stems"]["b"] + out["stems"]["c"] + out["busses"]["group"] + out["busses"]["par"]
    np.testing.assert_allclose(parts, out["bus"], atol=2e-7)


def test_a_mix_minus_is_the_main_bus_without_one_strip_or_bus() -> None:
    x, y, z = (noise(seed=i) for i in range(3))
    strips = [strip("x", gains=((0.5, 0.2),)), strip("y"), strip("z", output="group")]
    busses = [bus("no y", Feed(""), minus="y"), bus("no group", Feed(""), minus="group"), bus("group", pre=(late(11),))]
    out = render(strips, [x, y, z], busses, GraphBus(fader_db=-20.0), with_busses=True)
    np.testing.assert_allclose(out["busses"]["no y"][:, 1], 0.2 * x[:, 0] + z[:, 0], atol=1e-7)
    np.testing.assert_allclose(out["busses"]["no group"][:, 0], 0.5 * x[:, 0] + y[:, 0], atol=1e-7)


def test_a_sample_that_is_no_number_becomes_silence_and_is_counted() -> None:
    x = noise(1_000)
    wrong = x.copy()
    wrong[10], wrong[20], wrong[700] = -math.inf, math.inf, math.nan
    out = render([strip("x", hpf_hz=100.0), strip("y")], [wrong, x])
    x[[10, 20, 700]] = 0.0
    clean = render([strip("x", hpf_hz=100.0)], [x])
    assert np.array_equal(out["pre"][0], clean["pre"][0])
    assert out["graph"].non_finite == {"x": 3}
    assert out["graph"].non_finite_count == 3


def test_tails_add_up_along_the_longest_way() -> None:
    def rings(frames):
        return (Insert(Ringing(frames=float(frames))),)

    strips = [strip("x", pre=rings(100), post=rings(10), output="hall"), strip("y", post=rings(5_000))]
    busses = [bus("hall", pre=rings(3_000))]
    with MixGraph(strips, busses, GraphBus(post=rings(7)), rate_hz=RATE) as graph:
        assert graph.tail_frames == 5_007


@pytest.mark.parametrize(
    ("strips", "busses", "said"),
    [
        ([strip("x", output="nowhere")], [], "strip x feeds bus 'nowhere', and there is none"),
        ([strip("x")], [bus("a", Feed("b")), bus("b", Feed("a"))], "the mix feeds itself: bus "),
        ([strip("x", output="a", pre=(Insert(TimesKey(), key="a"),))], [bus("a")], "strip x → bus a → strip x"),
        ([strip("x", pre=(Insert(TimesKey(), key="bus"),))], [], "feeds itself"),
        ([strip("x", pre=(Insert(TimesKey(), key="y"),))], [], "an insert of strip x listens to 'y'"),
        ([strip("x"), strip("x")], [], "two strips called 'x'"),
        ([strip("x")], [bus("a"), bus("a")], "two busses called 'a'"),
        ([strip("x", output="a")], [bus("a"), bus("m", Feed(""), minus="x")], "does not feed the main bus itself"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused_with_the_names(strips, busses, said) -> None:
    with pytest.raises(DspError) as refused:
        MixGraph(strips, busses, rate_hz=RATE)
    assert said in str(refused.value)


def test_a_wrong_shape_is_refused_by_name() -> None:
    with MixGraph([strip("vox")], rate_hz=RATE) as graph:
        with pytest.raises(ShapeError, match="1 strips"):
            graph.process([])
        with pytest.raises(ShapeError, match="'vox'"):
            graph.process([noise(10, 2)])


def test_the_built_in_reverb_on_its_bus_answers_what_is_sent() -> None:
    from dsp.graph_reverb import BuiltInReverb
    from dsp.space import Network, ReverbSettings

    settings = ReverbSettings(1.0, 10.0, return_db=-3.0)
    x = noise(RATE)
    out = render([strip("x", gains=LEFT, send=0.5)], [x], [bus("reverb", pre=(Insert(BuiltInReverb(settings)),))])
    answer = np.concatenate([0.5 * x, np.zeros_like(x)], axis=1)
    Network(settings.room(RATE), RATE).process(answer)
    answer[:, :1] += x
    np.testing.assert_allclose(out["bus"], answer, atol=1e-6)


def test_peaks_are_those_of_each_strips_channels_before_its_fader() -> None:
    x, y = noise(), noise(channels=2, seed=2)
    y[:, 1] *= 0.5
    strips = [
        strip("y", channels=2, gains=((0.0, 0.0), (0.0, 0.0))),
        strip("x", pre=(late(3), Insert(Trim(gain_db=6.0)))),
    ]
    with MixGraph(strips, rate_hz=RATE) as graph:
        graph.process([y, x])
        of_y, of_x = graph.peaks()
        np.testing.assert_allclose(of_y, np.abs(y).max(axis=0), rtol=1e-6)
        np.testing.assert_allclose(of_x, np.abs(x[:-3]).max(axis=0) * 10 ** (6 / 20), rtol=1e-6)
        assert not any(np.any(peaks) for peaks in graph.peaks())


WAITING = [
    [strip("x", post=(Insert(Trim(gain_db=-6.0)),)), strip("y", channels=2, gains=THROUGH)],
    [strip("x", post=(late(100),)), strip("y", channels=2, gains=THROUGH)],  # y waits in front of its bank
    [strip("x"), strip("y", channels=2, gains=THROUGH, post=(Insert(TimesKey(), key="x"),))],  # two banks
]


@pytest.mark.parametrize("strips", WAITING)
def test_stems_in_one_tuple_filled_anew_sound_like_stems_of_their_own(strips) -> None:
    sizes = [64, 64, 48, 64, 64, 64]  # in between some that come as others do
    x, y = noise(sum(sizes)), noise(sum(sizes), channels=2, seed=2)
    feed = np.zeros((64, 1), np.float32), np.zeros((64, 2), np.float32)
    out, expected = [], []
    with (
        MixGraph(strips, rate_hz=RATE, threads=1, meters=True) as ours,
        MixGraph(strips, rate_hz=RATE, threads=1) as plain,
    ):
        start = 0
        for size in sizes:
            blocks = [stem[start : start + size] for stem in (x, y)]
            for stem, block in zip(feed, blocks, strict=True):
                stem[:size] = block
            out.append(ours.process(feed if size == 64 else blocks).bus)
            expected.append(plain.process(blocks).bus)
            start += size
        np.testing.assert_array_equal(np.concatenate(out), np.concatenate(expected))
        with pytest.raises(ShapeError):
            ours.process(feed[:1])


def test_what_is_pulled_after_a_tuple_of_stems_is_what_the_source_gives() -> None:
    x = noise(256)
    feed = (x[:64].copy(),)
    with MixGraph([strip("x")], rate_hz=RATE, threads=1) as graph:
        given = [graph.process(feed).bus]
        given.append(graph.pull(64, lambda index, block: np.copyto(block, x[64:128])).bus)
        feed[0][:] = x[128:192]
        given.append(graph.process(feed).bus)
    np.testing.assert_array_equal(np.concatenate(given)[:, 0], x[:192, 0])
