"""On a machine too busy to play two seconds undisturbed, a calibration still gets through, and measures the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from fake_loops import RATE_HZ, Audio, Bench, FakeStudio, Loops, straight
from short_line import Line
from stumbling import Losses, Stumbling, stumble

from controller import calibrate_wiring
from controller.calibrate_runs import Runs
from controller.calibrate_sections import programme
from controller.events import Event, Progress
from controller.figures import BY_KEY, Figure
from controller.loops import Calibration
from hardware.errors import AudioDropoutError, AudioError

BLOCK = 256
GUARD = 4 * BLOCK


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return tmp_path


class Tries:
    """Tells a stream's runs apart by the section they belong to, from what the calibration says it does next.

    ``losing`` is told the section's number, the number of the try (both from 0) and the frames of the run.
    """

    def __init__(self, losing: Callable[[int, int, int], list[int]]) -> None:
        self.losing, self.section, self.tried = losing, -1, 0
        self.runs: dict[int, list[int]] = {}

    def heard(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.section, self.tried = self.section + 1, 0

    def losses(self, run: int, frames: int) -> list[int]:
        self.runs.setdefault(self.section, []).append(frames)
        self.tried += 1
        return self.losing(self.section, self.tried - 1, frames)


def every(seconds: float) -> Losses:
    """A block is lost every so many seconds of the stream, whatever is played."""
    at = 0

    def losses(run: int, frames: int) -> list[int]:
        nonlocal at
        before, at = at, at + frames
        beat = round(seconds * RATE_HZ)
        return [n * beat - before for n in range(-(-before // beat), -(-at // beat))]

    return losses


def calibrated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loops: Loops, losses: Losses | Tries, *only: str
) -> tuple[Calibration, list[str], list[int]]:
    """The calibration, what was said, and the frames of each run."""
    folder.mkdir()
    with monkeypatch.context() as patch:
        bench = Bench(folder, loops, count=2)
        if isinstance(losses, Tries):
            tries = losses
            bench.heard = _Listening(tries)
            losses = tries.losses
        streams = stumble(patch, losses, FakeStudio)
        stored = bench.calibrate(*only)
    return stored.calibration, bench.findings(), streams[-1].runs


class _Listening(list[Event]):
    def __init__(self, tries: Tries) -> None:
        super().__init__()
        self.tries = tries

    def append(self, event: Event) -> None:
        super().append(event)
        self.tries.heard(event)


def all_figures(calibration: Calibration) -> dict[str, Figure]:
    figures = {f"{loop.output} {key}": figure for loop in calibration.loops for key, figure in loop.figures.items()}
    return figures | dict(calibration.figures)


def assert_alike(one: Calibration, other: Calibration) -> None:
    """Every figure of the one is that of the other within six times their error bars, or observable in neither."""
    first, second = all_figures(one), all_figures(other)
    assert first.keys() <= second.keys()
    assert len(first) > 1
    for key, a in first.items():
        b = second[key]
        assert (a.value is None) == (b.value is None), (key, a, b)
        if a.value is None or b.value is None:
            continue
        resolution = 10.0 ** -(BY_KEY[key.split()[-1]].digits + 1)
        assert abs(a.value - b.value) <= 6.0 * math.hypot(a.sd or 0.0, b.sd or 0.0) + resolution, (key, a, b)
    for a, b in zip(one.loops, other.loops, strict=True):
        assert (a.input, a.polarity, a.ok, a.why) == (b.input, b.polarity, b.ok, b.why)
        assert a.latency_samples == pytest.approx(b.latency_samples, abs=6 * math.hypot(a.latency_sd, b.latency_sd))
        assert a.gain_db == pytest.approx(b.gain_db, abs=6 * math.hypot(a.gain_sd, b.gain_sd))


def no_losses(run: int, frames: int) -> list[int]:
    return []


def the_loops() -> Loops:
    return Loops(straight(2), bend=1e-4)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("calm")
        patch.setenv("HALFNORMAL_HOME", str(folder / "home"))
        calibration, said, _ = calibrated(folder / "bench", patch, the_loops(), no_losses)
    assert calibration.repairs == 0
    assert not any("xrun" in line for line in said)
    return calibration


def test_every_section_gets_through_when_each_of_its_first_eight_tries_is_hit_in_the_middle(
    home: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Calibration
) -> None:
    tries = Tries(lambda section, tried, frames: [frames // 2] if tried < 8 else [])
    calibration, said, runs = calibrated(home / "bench", monkeypatch, the_loops(), tries)
    assert min(map(len, tries.runs.values())) >= 8
    assert_alike(calibration, undisturbed)
    assert calibration.repairs == len(runs) - len(tries.runs)
    (told,) = [line for line in said if "xruns disturbed it" in line]
    assert f"{calibration.repairs} times" in told
    assert "the response measurement" in told


def test_it_gets_through_where_no_section_is_ever_whole(
    home: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Calibration
) -> None:
    calibration, _, _ = calibrated(home / "bench", monkeypatch, the_loops(), every(1.3), "response", "noise", "clock")
    assert_alike(calibration, undisturbed)
    assert calibration.repairs > 0


def test_only_what_an_xrun_left_open_is_played_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = 90_000
    first = Tries(lambda section, tried, frames: [hit] if frames == 3 * 32_768 and tried == 0 else [])
    _, _, _ = calibrated(home / "bench", monkeypatch, the_loops(), first, "response")
    disturbed = [runs for runs in first.runs.values() if len(runs) > 1]
    # A period to settle, 2048 frames that both have, and what lies behind the frames before the xrun.
    assert disturbed
    assert all(runs == [98_304, 32_768 + 2048 + 98_304 - (hit - GUARD)] for runs in disturbed)


def test_the_clocks_tones_are_never_joined(
    home: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Calibration
) -> None:
    always = Tries(lambda section, tried, frames: [frames // 2] if frames > 3 * RATE_HZ else [])
    calibration, _, _ = calibrated(home / "bench", monkeypatch, the_loops(), always, "clock")
    (runs,) = [runs for runs in always.runs.values() if max(runs) > 3 * RATE_HZ]
    assert set(runs) == {runs[0]}, "every try is the whole section"
    drift, calm = calibration.figures["drift_ppm"], undisturbed.figures["drift_ppm"]
    assert drift.value == pytest.approx(0.0, abs=4 * (drift.sd or 0.0))
    # What is left is not half as long, and the spread goes with its length to the power of −3/2.
    assert 2.0**1.5 < (drift.sd or 0.0) / (calm.sd or 1.0) < 3.0**1.5


def test_silence_is_read_from_the_longest_stretch_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hum = 10 ** (-70 / 20)

    def humming(heard, loops, run, start) -> None:
        # Each run meets the mains at another phase.
        t = (start + np.arange(len(heard))) / RATE_HZ + 0.0037 * run
        heard[:, :] += hum * np.sin(2 * np.pi * 50.0 * t)[:, None]

    loops = Loops(straight(2), noise=1e-6, fault=humming)
    losing = Tries(lambda section, tried, frames: [frames // 2] if section == 0 else [])
    calibration, _, _ = calibrated(home / "bench", monkeypatch, loops, losing, "noise")
    for loop in calibration.loops:
        figure = loop.figures["hum_dbfs"]
        assert figure.value == pytest.approx(-70.0, abs=max(6 * (figure.sd or 0.0), 0.01))
        # White noise of 1e-6 up to half the rate, read from 20 Hz to 20 kHz, below the hum.
        assert loop.figures["noise_dbfs"].value == pytest.approx(-70.0, abs=0.01)


def recorded(home: Path, loops: Loops, losses: Losses) -> tuple[Audio, list[int]]:
    """The returns of a response's first section, settling included, and the frames of each run."""
    bench = Bench(home, loops, count=2)
    with bench.studio() as studio:
        plan = programme(studio.rig, calibrate_wiring.wiring(studio.rig, studio.profiles), only=("response",))
        section = next(section for section in plan.sections if section.key == "response0")
        stream = Stumbling(studio.fake, losses)
        audio, _ = Runs(stream, RATE_HZ).record(section, plan.signal(section), late=0, noise=np.full(2, loops.noise))
    return audio, stream.runs


def test_what_is_joined_is_to_the_frame_what_one_run_would_have_heard(home: Path) -> None:
    whole, _ = recorded(home, Loops(straight(2), noise=0.0), no_losses)
    joined, runs = recorded(home, Loops(straight(2), noise=0.0), lambda run, frames: [[60_000], [70_000], []][run])
    assert len(runs) == 3
    np.testing.assert_array_equal(joined[32_768:], whole[32_768:])


@pytest.mark.parametrize("change", ["later", "softer"])
def test_what_does_not_go_on_as_it_was_is_not_joined(home: Path, change: str) -> None:
    """Between the runs the stream came back a block later, or the loops lost a hundredth of a dB."""
    loops = Loops(straight(2), noise=1e-6)
    after = {
        path: (gain, delay + BLOCK) if change == "later" else (gain * 10 ** (-0.01 / 20), delay)
        for path, (gain, delay) in loops.paths.items()
    }

    def losses(run: int, frames: int) -> list[int]:
        if run == 1:
            loops.paths = after
        return [60_000] if run == 0 else []

    changed, runs = recorded(home, loops, losses)
    assert runs[-1] == runs[0] == 98_304, "in the end it was played from its beginning"
    whole, _ = recorded(home, Loops(after, noise=1e-6), no_losses)
    np.testing.assert_allclose(changed, whole, atol=10e-6)


def test_an_overload_while_it_is_played_again_stops_it_and_is_named_by_its_place_in_the_section(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = Tries(lambda section, tried, frames: [60_000] if frames == 3 * 32_768 and tried == 0 else [])

    def burst(heard, loops, run, start) -> None:
        runs = tries.runs.get(tries.section, [])
        if runs[:1] == [98_304] and len(runs) == 2 and start + 98_304 - runs[1] >= 1.5 * RATE_HZ:
            heard[:, 1] += 2.0

    loops = the_loops()
    loops.fault = burst
    with pytest.raises(AudioError, match=r"Return 2 overloads .* 1\.50 s into the response measurement"):
        calibrated(home / "bench", monkeypatch, loops, tries, "response")


def test_a_section_that_never_comes_through_is_named_and_nothing_is_stored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = Tries(lambda section, tried, frames: list(range(0, frames, 20_000)) if frames == 98_304 else [])
    with pytest.raises(AudioDropoutError, match="Xruns disturbed the response measurement again and again") as caught:
        calibrated(home / "bench", monkeypatch, the_loops(), tries, "response")
    assert "block_frames" in caught.value.hint
    assert not list(home.rglob("*-calibration.json"))


ROOM: Mapping[str, object] = {
    "converters": {"latency_samples": 137.37, "coupling_hz": [1.6, 3.0], "ad_noise_dbfs": -110.0},
    "desk": {"bus_noise_dbfs": -105.0, "hum_dbfs": -110.0, "h2_db": -78.0, "h3_db": -75.0},
}


def test_through_the_rooms_desk_and_its_couplings_it_measures_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = ("latency", "distortion")
    found = []
    for number, losses in enumerate((no_losses, every(1.2))):
        (home / str(number)).mkdir()
        line = Line(home / str(number), strips=1)
        line.set_room(base={}, **ROOM)
        with monkeypatch.context() as patch:
            stumble(patch, losses)
            found.append(line.calibrate(only=parts).calibration)
    assert_alike(*found)
    assert found[0].repairs == 0
    assert found[1].repairs > 0
