"""What will be heard when a mix plays, and where: its graph, the outputs, level and latency. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass

from controller.effect_files import with_files
from controller.errors import ProjectError, UsageError
from controller.graph_terms import plan
from controller.live_terms import live_graph
from controller.mix import Mix
from controller.project import Project
from controller.studio import Studio
from dsp.processor import STEP_FRAMES
from hardware.live.messages import LiveGraph

__all__ = ["LivePlan", "plan_live", "playable"]

_BLOCK_RANGE = (32, 4096)


@dataclass(frozen=True)
class LivePlan:
    """What will be heard, and where: shown and accepted before a stream is opened."""

    graph: LiveGraph
    stems: tuple[str, ...]
    block_frames: int
    level_db: float
    graph_latency_frames: int
    lines: tuple[str, ...]
    rate_hz: int

    @property
    def latency_ms(self) -> float:
        """From a frame of the song to the device: the graph and one block."""
        return 1e3 * (self.graph_latency_frames + self.block_frames) / self.rate_hz


def playable(project: Project, mix: Mix) -> LiveGraph:
    """Return the graph of a mix in the box at its own values, with everything in its place that a hand may reach for.

    Raises
    ------
    MixError
        A file that an effect is made from is not there or no good.
    """
    channels = {strip.name: project.stem(strip.stem).channels for strip in mix.strips}
    made = live_graph(with_files(mix, project.root), channels)
    return LiveGraph(made.strips, made.busses, made.bus)


def plan_live(
    project: Project, mix: Mix, studio: Studio, *, block_frames: int | None = None, level_db: float = 0.0
) -> LivePlan:
    """Say what would be heard and where. Opens nothing.

    Raises
    ------
    MixError
        The mix cannot be rendered.
    ProjectError
        The project has another rate than the rig.
    UsageError
        Blocks of that size, or that level, or fewer than two outputs.
    """
    audio = studio.rig.audio
    frames = audio.block_frames if block_frames is None else block_frames
    low, high = _BLOCK_RANGE
    if not (low <= frames <= high and frames % STEP_FRAMES == 0):
        raise UsageError(
            f"A mix does not play in blocks of {frames} frames.",
            hint=f"Take {low} to {high}, a multiple of {STEP_FRAMES}: --block 256 for instance.",
        )
    if not level_db <= 0.0:
        raise UsageError(f"The monitor's level cannot be {level_db:+g} dB.", hint="Take 0 or less.")
    if project.rate_hz != audio.rate_hz:
        raise ProjectError(
            f"The project is at {project.rate_hz} Hz and the rig's interface at {audio.rate_hz} Hz.",
            hint="Set rate_hz in the rig's [audio], or make the project with --rate.",
        )
    left, right = studio.monitor_pair()
    graph = playable(project, mix)
    late = plan(graph.strips, graph.busses, graph.bus, rate_hz=project.rate_hz).latency_frames()
    stems = tuple(strip.stem for strip in mix.strips)
    wires = studio.rig.outputs
    wired = [f"{number} to {wires[number]}" for number in (left, right) if number in wires]
    device = "the room inside the program, where nobody hears it" if audio.port == "room" else audio.port
    latency_ms = 1e3 * (late + frames) / project.rate_hz
    dbu = audio.dbu_at_0dbfs + level_db
    others = f" (wired: {', '.join(wired)})" if wired else ""
    lines = [
        f"device   {device}",
        f"outputs  {left} and {right}{others}; all others are silent",
        f"level    {level_db:+.1f} dB, full scale is {dbu:+.1f} dBu; it rises from silence in 50 ms",
        f"latency  {latency_ms:.1f} ms: {late} frames of the graph and a block of {frames}; the interface adds its own",
    ]
    return LivePlan(graph, stems, frames, level_db, late, tuple(lines), project.rate_hz)
