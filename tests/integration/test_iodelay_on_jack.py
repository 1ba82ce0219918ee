"""The loop's delay beside a tool everybody knows: jack_iodelay and ours on the same loops of a real JACK server.

Both play through JACK and both hear every loop some whole periods of the server late (buffers, and the cycle in the
graph), a number of their own that is the same for all loops. It is taken off: what is compared is the rest, to a
thousandth of a sample, and that the number is whole and the same.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from loop_room import LINES
from real_parts import PERIOD_FRAMES, RATE_HZ, Served, missing

from dsp.measure.latency import latencies
from dsp.measure.loop import LoopMatrix, measure_loops
from dsp.measure.probe import Comb, comb
from dsp.measure.response import merged_response
from hardware.ports.audio import open_audio

pytestmark = pytest.mark.real

PROBE_FRAMES = 8_192
PROBE_PERIODS = 12
TRIES = 10
JACK = "JACK Audio Connection Kit"
READINGS = 3  # alike, one after the other: an xrun shifts some by a thousandth until its filters have settled again
SETTLING = 4  # readings until they have settled at first
WAIT_S = 30.0
AGREEMENT = 1e-3  # sample
ROUNDING = 0.5e-3  # it prints three decimals
SIXTEENTH = 1.0 / 16.0  # of the rate: where jack_iodelay reads its phase
LINE_NUMBERS = range(1, len(LINES) + 1)
READING = re.compile(r"\s*(-?[0-9.]+) frames\s+-?[0-9.]+ ms total roundtrip latency")
EXTRA = re.compile(r"extra loopback latency: ([0-9]+) frames")


@pytest.fixture(scope="module")
def loops(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("loops")
    program = str(Path(__file__).with_name("loop_room.py"))
    served = Served(folder, command=(program, "Loops", str(folder / "serial")))
    served.ready = served.line()
    yield served
    served.close()


class Iodelay:
    """One jack_iodelay, wired to one line after the other: a second one that ends would stall the server."""

    def __init__(self, folder: Path) -> None:
        import jack

        if shutil.which("jack_iodelay") is None:
            missing("jack_iodelay is not installed (Debian: jackd2)")
        self._jack = jack
        self.wiring = jack.Client("wiring", no_start_server=True)
        self._log = folder / "iodelay.txt"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["stdbuf", "-oL", "jack_iodelay"], stdout=log, stderr=subprocess.STDOUT)
        self._until(lambda: bool(self.wiring.get_ports("^jack_delay:in$")))

    def readings(self, line: int, *, also: tuple[tuple[str, str], ...] = ()) -> list[tuple[float, str]]:
        """What it prints over that line of the room (from 1), once steady: samples, and all the words around them."""
        wires = [("jack_delay:out", f"Loops:in_{line}"), (f"Loops:out_{line}", "jack_delay:in"), *also]
        for wire in wires:
            self._until(lambda wire=wire: self._connects(*wire))
        start = self._log.stat().st_size
        self._until(lambda: bool(self._steady(start)))
        for wire in wires:
            self.wiring.disconnect(*wire)
        return self._steady(start)

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.wiring.close()

    def _connects(self, source: str, target: str) -> bool:
        """Whether they are connected now; a client that has its ports is not always in the graph yet."""
        try:
            self.wiring.connect(source, target)
        except self._jack.JackError:
            return False
        return True

    def _blocks(self, start: int) -> list[tuple[float, str]]:
        text = self._log.read_bytes()[start:].decode(errors="replace")
        parts = re.split(r"(?=^ *-?[0-9.]+ frames)", text, flags=re.MULTILINE)
        found = [(READING.match(part), part) for part in parts[:-1]]  # the last may not be whole
        return [(float(match[1]), part) for match, part in found if match]

    def _steady(self, start: int) -> list[tuple[float, str]]:
        """The first readings behind the settling that are alike; none as long as there are none."""
        blocks = self._blocks(start)[SETTLING:]
        for first in range(len(blocks) - READINGS + 1):
            some = blocks[first : first + READINGS]
            if len({delay for delay, _ in some}) == 1:
                return some
        return []

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < deadline, self._log.read_text(errors="replace")
            time.sleep(0.05)


@pytest.fixture(scope="module")
def iodelay(loops: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iodelay]:
    tool = Iodelay(tmp_path_factory.mktemp("iodelay"))
    yield tool
    tool.close()


@pytest.fixture(scope="module")
def read_by_iodelay(iodelay: Iodelay) -> list[list[tuple[float, str]]]:
    return [iodelay.readings(line) for line in LINE_NUMBERS]


class Playing:
    """The probe, period after period."""

    def __init__(self, period: np.ndarray) -> None:
        self._period = period
        self._at = 0

    def read(self, frames: int) -> np.ndarray:
        block = np.take(self._period, range(self._at, self._at + frames), axis=0, mode="wrap")
        self._at += frames
        return block


class Keep:
    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def write(self, block: np.ndarray) -> None:
        self.blocks.append(block.copy())


def undisturbed(recording: np.ndarray) -> np.ndarray | None:
    """Two periods of the probe without an xrun: the loops have no noise, so the second is the first to the last bit."""
    periods = recording.reshape(-1, PROBE_FRAMES, recording.shape[1])
    for first in range(1, len(periods) - 1):
        if np.any(periods[first]) and np.array_equal(periods[first], periods[first + 1]):
            return periods[first : first + 2].reshape(-1, recording.shape[1])
    return None


@dataclass(frozen=True)
class Ours:
    capture: np.ndarray
    probe: Comb
    loops: LoopMatrix


@pytest.fixture(scope="module")
def measured_by_us(loops: Served) -> Ours:
    """Every line at once through the real audio port, repeated until nothing came between."""
    count = len(LINES)
    probe = comb(count, rate_hz=RATE_HZ, level_dbfs=-20.0, seed=4, period_frames=PROBE_FRAMES)
    with open_audio(
        "Loops", host_api=JACK, rate_hz=RATE_HZ, block_frames=PERIOD_FRAMES, outputs=count, inputs=count
    ) as stream:
        for _ in range(TRIES):
            sink = Keep()
            stream.run(Playing(probe.period), sink, PROBE_PERIODS * PROBE_FRAMES)
            capture = undisturbed(np.concatenate(sink.blocks))
            if capture is not None:
                return Ours(capture, probe, measure_loops(capture, probe))
    raise AssertionError(f"no two periods of {PROBE_FRAMES} frames came back alike in {TRIES} tries")


def whole_periods(delays: np.ndarray) -> np.ndarray:
    """How many periods of the server each loop came late on top of its own delay."""
    return np.round((delays - [line.delay_samples for line in LINES]) / PERIOD_FRAMES).astype(int)


def beyond(delays: np.ndarray) -> np.ndarray:
    """The delays without those whole periods, which are the same for every loop."""
    periods = whole_periods(delays)
    assert len(set(periods.tolist())) == 1
    return delays - PERIOD_FRAMES * periods


def test_iodelay_and_our_phase_delay_agree_to_a_thousandth_of_a_sample(read_by_iodelay, measured_by_us) -> None:
    theirs = beyond(np.array([readings[0][0] for readings in read_by_iodelay]))
    ours = [
        latencies(merged_response([(measured_by_us.capture, measured_by_us.probe)], k, k), rate_hz=RATE_HZ).phase
        for k in range(len(LINES))
    ]
    values = beyond(np.array([figure.value for figure in ours]))
    assert np.abs(values - theirs).max() <= AGREEMENT + ROUNDING
    truth = np.array([line.phase_delay(SIXTEENTH) for line in LINES])
    assert np.abs(values - truth).max() <= AGREEMENT
    assert max(figure.sd for figure in ours) <= AGREEMENT
    assert np.abs(theirs - truth).max() <= AGREEMENT + ROUNDING


def test_our_most_likely_delay_agrees_as_well(read_by_iodelay, measured_by_us) -> None:
    theirs = beyond(np.array([readings[0][0] for readings in read_by_iodelay]))
    ours = beyond(np.diagonal(measured_by_us.loops.latency_samples))
    assert np.abs(ours - theirs).max() <= AGREEMENT + ROUNDING
    assert np.abs(ours - [line.delay_samples for line in LINES]).max() <= AGREEMENT


def test_both_see_which_loops_invert(read_by_iodelay, measured_by_us) -> None:
    signs = [line.sign for line in LINES]
    assert [-1 if " Inv" in readings[-1][1] else 1 for readings in read_by_iodelay] == signs
    assert np.diagonal(measured_by_us.loops.polarity).tolist() == signs


def test_no_line_is_heard_on_another(measured_by_us) -> None:
    assert np.array_equal(measured_by_us.loops.present, np.eye(len(LINES), dtype=bool))


def test_iodelay_prints_a_wrapped_number_where_less_returns_than_the_ports_report(iodelay: Iodelay) -> None:
    """Patched to the card's ports besides, it takes their latency off what is shorter, in unsigned arithmetic."""
    readings = iodelay.readings(
        1, also=(("jack_delay:out", "system:playback_1"), ("system:capture_1", "jack_delay:in"))
    )
    extra = [int(match[1]) for _, text in readings if (match := EXTRA.search(text))]
    assert len(extra) == len(readings)
    assert min(extra) > 2**31
    assert readings[0][0] % PERIOD_FRAMES == pytest.approx(LINES[0].delay_samples, abs=AGREEMENT + ROUNDING)
