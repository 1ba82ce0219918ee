"""Speed and memory of the whole line, as a user runs it: passes through the in-process room, prints, the command line.

``python -m benchmarks.audio --json [--quick]``. No other program does this job, so there is no peer in the rows.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import own_peak_mib, report, row
from controller import calibrate as calibration
from controller.demo import RATE_HZ, RIG, demo_mix
from controller.events import Question, silent
from controller.mix import save_new_mix
from controller.places import HOME_VARIABLE
from controller.printing import print_mix
from controller.project import Project, create_project
from controller.studio import Studio
from controller.wav import WavWriter
from dsp.synth import demo_song


def _yes(question: Question) -> bool:
    return True


def make_project(folder: Path, minutes: float | None = None) -> Project:
    """Make the demo project in ``folder``; with ``minutes``, its song goes round until it is that long."""
    stems = folder / "stems"
    stems.mkdir(parents=True)
    for name, audio in demo_song(RATE_HZ).items():
        with WavWriter(stems / f"{name}.wav", rate_hz=RATE_HZ, channels=audio.shape[1]) as writer:
            frames = len(audio) if minutes is None else round(minutes * 60 * RATE_HZ)
            while writer.frames < frames:
                writer.write(audio[: frames - writer.frames])
    project = create_project(folder / "song", stems=stems, rig=RIG)
    save_new_mix(demo_mix(), project.mixes)
    return project


def run_pass(project: Project, path: Any) -> float:
    """Print once, everything recalled already, and return the seconds it took."""
    with Studio.open(RIG) as studio:
        start = time.perf_counter()
        print_mix(project, project.mix(), path=path, studio=studio, emit=silent, accept=_yes, hands_done=True)
        return time.perf_counter() - start


def pass_of(minutes: float) -> None:
    """Print a song of ``minutes`` through the in-process room and say the peak memory [MiB]."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[HOME_VARIABLE] = f"{folder}/home"
        project = make_project(Path(folder) / "work", minutes)
        with Studio.open(RIG) as studio:
            calibration.calibrate(studio, emit=silent, accept=_yes)
        run_pass(project, "analog")
    print(own_peak_mib())


def peak_mib(minutes: float) -> float:
    """Return the peak memory of a process that prints ``minutes`` of song."""
    command = [sys.executable, "-m", "benchmarks.audio", "--pass-minutes", str(minutes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def command_cpu_s(*arguments: str) -> float:
    """Return the CPU time of one command, the least of five [s]."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "controller", *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def measure(*, quick: bool) -> list[dict[str, Any]]:
    """Run every measurement and return the rows."""
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        os.environ[HOME_VARIABLE] = f"{folder}/home"
        project = make_project(Path(folder) / "work")
        seconds = project.frames / project.rate_hz
        with Studio.open(RIG) as studio:
            start = time.perf_counter()
            calibration.calibrate(studio, emit=silent, accept=_yes)
            calibrated = time.perf_counter() - start
        run_pass(project, "analog")
        analog = seconds / min(run_pass(project, "analog") for _ in range(rounds))
        itb = seconds / min(run_pass(project, "itb") for _ in range(rounds))
    short, long = (1.0, 2.0) if quick else (1.0, 10.0)
    memory_short, memory_long = peak_mib(short), peak_mib(long)
    growth = memory_long / memory_short
    helped, listed = command_cpu_s("--help"), command_cpu_s("profile", "list")
    left_out = "; quick: 10 minutes left out" if quick else ""
    return [
        row(
            "analog print of the demo song on the in-process room",
            analog,
            "x real time",
            goal=10.0,
            holds=analog >= 10.0,
            note="whole command: headroom check, recall, re-ping, pass, filing",
        ),
        row("box print of the demo song", itb, "x real time", goal=40.0, holds=itb >= 40.0, note="filing included"),
        row(
            "calibration of 24 loops on the in-process room", calibrated, "s", note="first run: kernels from the cache"
        ),
        row(
            f"peak memory of a pass of {long:g} minutes",
            memory_long,
            "MiB",
            goal=1.1,
            holds=growth <= 1.1,
            note=f"{growth:.3f} times that of {short:g} minutes ({memory_short:.0f} MiB); the goal is on this growth"
            + left_out,
        ),
        row("halfnormal --help", helped, "s CPU", goal=0.3, holds=helped < 0.3),
        row("halfnormal profile list", listed, "s CPU", goal=0.3, holds=listed < 0.3),
    ]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Speed and memory of the whole line")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="end within 60 s")
    parser.add_argument("--pass-minutes", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pass_minutes is not None:
        pass_of(options.pass_minutes)
        return 0
    return report("audio", measure(quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
