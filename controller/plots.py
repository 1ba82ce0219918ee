"""Pictures for measurements and reports: PNG bytes, drawn off screen. The only file that imports matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from controller.loops import LoopFacts

INK = "#e6e1d6"
PAPER = "#1b1d1f"
ACCENT = "#e8a33d"
SECOND = "#6fb3b8"
BAD = "#e0604c"
FAINT = "#4a4d50"
FLOOR_DB = -140.0


def _figure(rows: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, height), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
    for ax in axes:
        ax.set_facecolor(PAPER)
        ax.grid(visible=True, color=FAINT, linewidth=0.5)
        ax.tick_params(colors=INK, labelsize=8)
        for spine in ax.spines.values():
            spine.set_color(FAINT)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _label(ax: Axes, title: str, x: str, y: str) -> None:
    ax.set_title(title, color=INK, fontsize=10, loc="left")
    ax.set_xlabel(x, color=INK, fontsize=8)
    ax.set_ylabel(y, color=INK, fontsize=8)


def null_picture(
    third_octave: Sequence[tuple[float, float | None]],
    over_time: Sequence[tuple[float, float | None]],
    *,
    depth_db: float | None,
    limit_db: float | None,
    title: str,
) -> bytes:
    """Draw the depth of a null by third-octave and over time; ``None`` stands for nothing left at all."""
    figure, (bands, time) = _figure(2, 6.0)
    hz = [f for f, _ in third_octave]
    depth = [FLOOR_DB if d is None else d for _, d in third_octave]
    bands.step(hz, depth, where="mid", color=ACCENT, linewidth=1.5)
    bands.fill_between(hz, FLOOR_DB, depth, step="mid", color=ACCENT, alpha=0.2)
    bands.set_xscale("log")
    ticks = [31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000]
    bands.set_xticks(ticks, labels=["31", "63", "125", "250", "500", "1k", "2k", "4k", "8k", "16k"])
    bands.minorticks_off()
    seconds = [s for s, _ in over_time]
    moving = [FLOOR_DB if d is None else d for _, d in over_time]
    time.plot(seconds, moving, color=SECOND, linewidth=1.2)
    _label(bands, title, "third-octave centre [Hz]", "residual re programme [dB]")
    _label(time, "over time", "time [s]", "residual re programme [dB]")
    bottom = max(FLOOR_DB, min([*depth, *moving, -60.0]) - 6.0)
    for ax in (bands, time):
        ax.set_ylim(bottom, 3.0)
        if depth_db is not None:
            ax.axhline(depth_db, color=INK, linewidth=0.8, linestyle="--")
            ax.annotate(
                f"{depth_db:.1f} dB",
                (0.995, depth_db),
                xycoords=("axes fraction", "data"),
                color=INK,
                fontsize=8,
                ha="right",
                va="bottom",
            )
        if limit_db is not None and limit_db > bottom:
            ax.axhline(limit_db, color=BAD, linewidth=0.8, linestyle=":")
            ax.annotate(
                f"limit {limit_db:.1f} dB",
                (0.005, limit_db),
                xycoords=("axes fraction", "data"),
                color=BAD,
                fontsize=8,
                va="bottom",
            )
    return _png(figure)


def loops_picture(loops: Sequence[LoopFacts], title: str) -> bytes:
    """Draw gain, latency and noise of every loop of a calibration."""
    figure, (gain, latency, noise) = _figure(3, 6.5)
    there = [loop for loop in loops if loop.present]
    _bars(gain, loops, {loop.output: loop.gain_db for loop in there})
    middle = sorted(loop.latency_samples for loop in there)[len(there) // 2] if there else 0.0
    _bars(latency, loops, {loop.output: loop.latency_samples - middle for loop in there})
    _bars(noise, loops, {loop.output: loop.noise_dbfs for loop in loops}, floor=-140.0)
    _label(gain, title, "", "gain [dB]")
    _label(latency, f"latency re {middle:.3f} samples", "", "samples")
    _label(noise, "noise floor of the return", "interface output", "dBFS")
    return _png(figure)


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


def spectrum_picture(freqs_hz: Any, curves: Sequence[tuple[str, Any]], title: str) -> bytes:
    """Draw level spectra [dB] of the same length over frequency."""
    figure, (ax,) = _figure(1, 3.6)
    for (name, level), colour in zip(curves, (SECOND, ACCENT, BAD), strict=False):
        ax.plot(freqs_hz, level, color=colour, linewidth=1.0, label=name)
    ax.set_xscale("log")
    ax.set_xlim(20, 20_000)
    ax.set_xticks(
        [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000],
        labels=["20", "50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k"],
    )
    ax.minorticks_off()
    ax.legend(facecolor=PAPER, edgecolor=FAINT, labelcolor=INK, fontsize=8)
    _label(ax, title, "Hz", "dBFS per third octave")
    return _png(figure)
