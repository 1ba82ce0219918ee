"""Pictures for measurements and reports: PNG bytes, drawn off screen. The only file that imports matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure

    from controller.loops import LoopFacts

INK = "#e6e1d6"
PAPER = "#1b1d1f"
ACCENT = "#e8a33d"
SECOND = "#6fb3b8"
BAD = "#e0604c"
FAINT = "#4a4d50"
FLOOR_DB = -140.0
LEAST_SHARE = 0.005
"""A cause with less than this of the residual's power is not written."""


@dataclass(frozen=True)
class Ground:
    """What a picture is drawn on: colours of paper, writing and grid, and the size of the writing [points]."""

    paper: str = PAPER
    ink: str = INK
    faint: str = FAINT
    points: float = 8.0


SCREEN = Ground()
PRINT = Ground("#ffffff", "#1b1d1f", "#c9cbcd", 7.0)


def canvas(
    rows: int, height: float, *, columns: int = 1, width: float = 9.0, ground: Ground = SCREEN
) -> tuple[Figure, list[Axes]]:
    """Return an empty picture of ``rows`` × ``columns`` axes, row by row; ``width`` and ``height`` in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=ground.paper, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]
    for ax in axes:
        ax.set_facecolor(ground.paper)
        ax.grid(visible=True, color=ground.faint, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.tick_params(colors=ground.ink, labelsize=ground.points)
        for spine in ax.spines.values():
            spine.set_color(ground.faint)
    return figure, axes


def png(figure: Figure, *, dpi: int = 110) -> bytes:
    """Draw a picture as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def label(ax: Axes, title: str, x: str, y: str, *, ground: Ground = SCREEN) -> None:
    """Write a title and what the axes show."""
    ax.set_title(title, color=ground.ink, fontsize=ground.points + 2, loc="left")
    ax.set_xlabel(x, color=ground.ink, fontsize=ground.points)
    ax.set_ylabel(y, color=ground.ink, fontsize=ground.points)


def null_picture(
    third_octave: Sequence[Mapping[str, float | None]],
    over_time: Sequence[tuple[float, float | None]],
    *,
    depth_db: float | None,
    limit_db: float | None,
    title: str,
    stages: Sequence[tuple[str, float | None]] = (),
    shares: Sequence[tuple[str, float]] = (),
) -> bytes:
    """Draw programme and residual of a null by third octave [dBFS], its depth over time and after each stage [dB].

    ``third_octave`` holds ``hz``, ``programme_dbfs`` and ``residual_dbfs``; ``None`` stands for nothing there.
    ``shares`` are those of the residual's power, 0 to 1, by cause.
    """
    figure, (bands, time, below) = canvas(3, 8.5)
    hz = [band["hz"] or 0.0 for band in third_octave]
    floor = FLOOR_DB
    for key, name, colour in (("programme_dbfs", "programme", SECOND), ("residual_dbfs", "residual", ACCENT)):
        levels = [floor if band[key] is None else max(band[key] or 0.0, floor) for band in third_octave]
        bands.step(hz, levels, where="mid", color=colour, linewidth=1.5, label=name)
        bands.fill_between(hz, floor, levels, step="mid", color=colour, alpha=0.15)
    bands.set_xscale("log")
    ticks = [31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000]
    bands.set_xticks(ticks, labels=["31", "63", "125", "250", "500", "1k", "2k", "4k", "8k", "16k"])
    bands.minorticks_off()
    bands.set_ylim(floor, 3.0)
    bands.legend(facecolor=PAPER, edgecolor=FAINT, labelcolor=INK, fontsize=8, loc="upper right")
    label(bands, title, "third-octave centre [Hz]", "dBFS")
    seconds = [s for s, _ in over_time]
    moving = [FLOOR_DB if d is None else d for _, d in over_time]
    time.plot(seconds, moving, color=ACCENT, linewidth=1.2)
    label(time, "depth over time", "time [s]", "residual re programme [dB]")
    bottom = max(FLOOR_DB, min([*moving, limit_db or 0.0, -60.0]) - 10.0)
    time.set_ylim(bottom, 3.0)
    for level, name, colour, style in ((depth_db, "null", INK, "--"), (limit_db, "noise limit", BAD, ":")):
        if level is None or level < bottom:
            continue
        time.axhline(level, color=colour, linewidth=0.8, linestyle=style)
        offset = (0, 3) if level == max(depth_db or level, level) else (0, -10)
        time.annotate(
            f"{name} {level:.1f} dB",
            (0.995, level),
            xytext=offset,
            textcoords="offset points",
            xycoords=("axes fraction", "data"),
            color=colour,
            fontsize=8,
            ha="right",
        )
    _waterfall(below, stages, limit_db, shares)
    return png(figure)


def _waterfall(
    ax: Axes, stages: Sequence[tuple[str, float | None]], limit_db: float | None, shares: Sequence[tuple[str, float]]
) -> None:
    """Draw the depth after each stage as hanging bars, and write beside them what is left."""
    depths = [FLOOR_DB if depth is None else max(depth, FLOOR_DB) for _, depth in stages]
    bottom = max(FLOOR_DB, min([*depths, limit_db or 0.0, -60.0]) - 12.0)
    ax.bar(range(len(stages)), depths, color=SECOND, width=0.6)
    for place, ((_, depth), height) in enumerate(zip(stages, depths, strict=True)):
        said = "identical" if depth is None else f"{depth:.1f}"
        ax.annotate(said, (place, max(height, bottom)), xytext=(0, -11), textcoords="offset points", color=INK,
                    fontsize=8, ha="center")  # fmt: skip
    ax.set_xticks(range(len(stages)), labels=[name for name, _ in stages])
    ax.set_xlim(-0.6, len(stages) + 2.4)
    ax.set_ylim(bottom, max(3.0, *depths, 0.0) + 1.0)
    if limit_db is not None and limit_db >= bottom:
        ax.axhline(limit_db, color=BAD, linewidth=0.8, linestyle=":")
    told = sorted((s for s in shares if s[1] >= LEAST_SHARE), key=lambda s: -s[1])[:6]
    lines = [f"{100.0 * share:3.0f} %  {name}" for name, share in told]
    if lines:
        text = "what is left\n" + "\n".join(lines)
        ax.text(0.995, 0.95, text, transform=ax.transAxes, color=INK, fontsize=8, ha="right", va="top",
                family="monospace")  # fmt: skip
    label(ax, "depth after each stage", "", "residual re programme [dB]")


def loops_picture(loops: Sequence[LoopFacts], title: str) -> bytes:
    """Draw gain, latency and noise of every loop of a calibration."""
    figure, (gain, latency, noise) = canvas(3, 6.5)
    there = [loop for loop in loops if loop.present]
    _bars(gain, loops, {loop.output: loop.gain_db for loop in there})
    middle = sorted(loop.latency_samples for loop in there)[len(there) // 2] if there else 0.0
    _bars(latency, loops, {loop.output: loop.latency_samples - middle for loop in there})
    _bars(noise, loops, {loop.output: loop.noise_dbfs for loop in loops}, floor=-140.0)
    label(gain, title, "", "gain [dB]")
    spread = max((abs(loop.latency_samples - middle) for loop in there), default=0.0)
    label(latency, f"latency re {middle:.3f} samples (largest difference {spread:.5f})", "", "samples")
    label(noise, "noise floor of the return", "interface output", "dBFS")
    return png(figure)


def _bars(ax: Axes, loops: Sequence[LoopFacts], values: dict[int, float], floor: float = 0.0) -> None:
    outputs = [loop.output for loop in loops]
    colours = [ACCENT if loop.ok else BAD for loop in loops]
    heights: list[Any] = [values.get(output, 0.0) - floor if output in values else 0.0 for output in outputs]
    ax.bar(outputs, heights, bottom=floor, color=colours, width=0.7)
    for loop in loops:
        if not loop.present:
            ax.annotate("✕", (loop.output, floor), color=BAD, ha="center", fontsize=9)
    ax.set_xticks(outputs)
    if floor == 0.0:
        span = max((abs(v) for v in values.values()), default=0.0)
        ax.set_ylim(-max(span * 1.3, 0.02), max(span * 1.3, 0.02))
