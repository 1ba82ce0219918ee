"""Pictures of loops, for paper and for the screen, as PNG: trends, responses, bars with error bars, crosstalk."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from controller.figures import BY_KEY
from controller.loop_figures import figures_of
from controller.plots import ACCENT, PRINT, Ground, canvas, label, png
from controller.response_compare import say_hz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from controller.loop_history import Trend
    from controller.loops import LoopFacts
    from controller.plots import Axes
    from controller.response_compare import ResponseComparison

COLOURS = ("#1f6fb2", "#c8501e", "#2e8b57", "#8e44ad", "#b8860b", "#008b8b", "#b03060", "#556b2f")
MOST_LINES = 8
DPI = 200
PAPER_DPI = 220


def trends_picture(found: Sequence[Trend], title: str) -> bytes:
    """Draw figures over time, a panel a figure and a line a loop (the most certain trends first), with error bars."""
    keys = list(dict.fromkeys(trend.key for trend in found))[:4]
    figure, axes = canvas(max(len(keys), 1), 2.2 * max(len(keys), 1) + 0.4, width=8.0, ground=PRINT)
    for ax, key in zip(axes, keys, strict=False):
        kind = BY_KEY[key]
        for colour, trend in zip(COLOURS, [t for t in found if t.key == key][:MOST_LINES], strict=False):
            days = [point.days for point in trend.points]
            values = [point.value for point in trend.points]
            bars = [point.sd or 0.0 for point in trend.points]
            name = f"{trend.subject[0]} {trend.subject[1]}" if trend.subject[0] else trend.where
            ax.errorbar(days, values, yerr=bars, fmt="o", markersize=3, capsize=2, linewidth=0.8, color=colour)
            ax.plot(days, values, linewidth=0.6, alpha=0.5, color=colour)
            middle, level = sum(days) / len(days), sum(values) / len(values)
            slope = (trend.per_month.value or 0.0) * 12 / 365.25
            style = "-" if trend.significant else ":"
            ends = [days[0], days[-1]]
            ax.plot(ends, [level + slope * (d - middle) for d in ends], style, linewidth=1.4, color=colour, label=name)
        ax.legend(fontsize=6, ncols=4, frameon=False, loc="best")
        label(ax, f"{title}: {kind.label}" if key == keys[0] else kind.label, "", kind.unit, ground=PRINT)
    if keys:
        axes[len(keys) - 1].set_xlabel("days since the first calibration; dotted: not significant", fontsize=7)
    else:
        axes[0].text(0.5, 0.5, "no figure was seen three times", ha="center", color=ACCENT)
    return png(figure, dpi=DPI)


def comparison_picture(found: ResponseComparison, title: str) -> bytes:
    """Draw our response and theirs re 1 kHz, and what differs in level and, where there is one, in phase."""
    phase = found.difference_deg
    figure, axes = canvas(2 if phase is None else 3, 4.6 if phase is None else 6.4, width=8.0, ground=PRINT)
    levels, difference = axes[0], axes[1]
    levels.plot(found.hz, found.our_db, color=COLOURS[0], linewidth=1.4, label="ours")
    levels.plot(found.hz, found.their_db, color=COLOURS[1], linewidth=1.0, linestyle="--", label="theirs")
    levels.legend(fontsize=7, frameon=False)
    label(levels, title, "", "dB re 1 kHz", ground=PRINT)
    difference.plot(found.hz, found.difference_db, color=COLOURS[2], linewidth=1.0)
    difference.plot([found.worst_db_hz], [found.worst_db], "o", color=COLOURS[1], markersize=4)
    worst = f"{found.worst_db:+.3f} dB at {say_hz(found.worst_db_hz)}"
    label(difference, f"theirs less ours; most: {worst}", "", "dB", ground=PRINT)
    if phase is not None and found.worst_deg is not None and found.worst_deg_hz is not None:
        axes[2].plot(found.hz, phase, color=COLOURS[2], linewidth=1.0)
        axes[2].plot([found.worst_deg_hz], [found.worst_deg], "o", color=COLOURS[1], markersize=4)
        worst = f"{found.worst_deg:+.2f}° at {say_hz(found.worst_deg_hz)}"
        label(axes[2], f"phase, delay taken out; most: {worst}", "", "degrees", ground=PRINT)
    for ax in axes:
        frequency_axis(ax)
    axes[-1].set_xlabel("Hz", fontsize=PRINT.points)
    return png(figure, dpi=DPI)


def frequency_axis(ax: Axes) -> None:
    """Make the x axis 20 Hz to 20 kHz, by octaves of one, two and five."""
    ax.set_xscale("log")
    ax.set_xlim(20.0, 20_000.0)
    ticks = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
    ax.set_xticks(ticks, labels=["20", "50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k"])
    ax.minorticks_off()


MM = 1.0 / 25.4
BAD_RED = "#c0392b"
NOISES = (
    ("noise_dbfs", "flat", "o"),
    ("noise_a_dbfs", "A", "^"),
    ("noise_ccir_dbfs", "CCIR", "s"),
    ("hum_dbfs", "hum", "x"),
)
DISTORTIONS = (
    ("thd_db", "THD", "o"),
    ("thdn_db", "THD+N", "s"),
    ("imd_smpte_db", "SMPTE", "^"),
    ("imd_ccif_d2_db", "d2", "x"),
    ("imd_ccif_d3_db", "d3", "+"),
)
CROSSTALKS = (
    ("crosstalk_100_db", "100 Hz"),
    ("crosstalk_1k_db", "1 kHz"),
    ("crosstalk_10k_db", "10 kHz"),
    ("crosstalk_worst_db", "worst"),
)
PAPER = Ground(PRINT.paper, PRINT.ink, PRINT.faint, 5.5)
"""For pictures that stand on paper at their own size."""


def responses_picture(loops: Sequence[LoopFacts], *, width_mm: float, height_mm: float) -> bytes:
    """Draw the level of every loop re its own at 1 kHz, one over the other; the furthest from the rest is named."""
    figure, (ax,) = canvas(1, height_mm * MM, width=width_mm * MM, ground=PAPER)
    seen: dict[int, NDArray[np.float64]] = {}
    grid = np.geomspace(20.0, 20_000.0, 400)
    for loop in loops:
        if loop.response is None or len(loop.response.hz) < 3:
            continue
        hz = np.array(loop.response.hz)
        size = np.hypot(loop.response.re, loop.response.im)
        sound = (hz > 0.0) & (size > 0.0)
        if np.count_nonzero(sound) < 3:
            continue
        db = 20.0 * np.log10(size[sound])
        level = np.interp(np.log(grid), np.log(hz[sound]), db, left=np.nan, right=np.nan)
        seen[loop.output] = level - np.interp(math.log(1000.0), np.log(hz[sound]), db)
    title = "response re 1 kHz"
    if seen:
        every = np.stack(list(seen.values()))
        away = np.nanmax(np.abs(every - np.nanmedian(every, axis=0)), axis=1)
        worst = list(seen)[int(np.nanargmax(away))]
        title += f"; furthest from the others: output {worst}, by {np.nanmax(away):.2f} dB"
        few = len(seen) <= MOST_LINES
        for number, (output, level) in enumerate(seen.items()):
            colour = COLOURS[number % len(COLOURS)] if few else COLOURS[0]
            ax.plot(grid, level, color=colour, linewidth=0.7, alpha=0.8, label=f"output {output}" if few else None)
        if not few:
            ax.plot(grid, seen[worst], color=BAD_RED, linewidth=1.0, label=f"output {worst}")
        span = max(0.5, 1.15 * float(np.nanmax(np.abs(every))))
        ax.set_ylim(-span, min(span, max(0.3, 1.15 * float(np.nanmax(every)))))
        ax.legend(fontsize=5, frameon=False, ncols=2, loc="lower center")
    else:
        _nothing(ax, "no response was measured")
    frequency_axis(ax)
    _small(ax, title, "Hz", "dB")
    return png(figure, dpi=PAPER_DPI)


def crosstalk_picture(loops: Sequence[LoopFacts], *, width_mm: float, height_mm: float) -> bytes:
    """Draw the crosstalk of every output at three frequencies and at its worst, as a map of colours."""
    figure, (ax,) = canvas(1, height_mm * MM, width=width_mm * MM, ground=PAPER)
    values = np.array([[_value(loop, key) for loop in loops] for key, _ in CROSSTALKS])
    title = "crosstalk [dB]"
    ax.grid(visible=False)
    if loops and np.isfinite(values).any():
        floor = np.floor(np.nanmin(values) / 10.0) * 10.0
        image = ax.imshow(values, aspect="auto", cmap="viridis", vmin=floor, vmax=np.nanmax(values))
        bar = figure.colorbar(image, ax=ax, pad=0.02)
        bar.ax.tick_params(labelsize=PAPER.points, colors=PAPER.ink)
        row, column = divmod(int(np.nanargmax(values)), len(loops))
        title += f"; most: {values[row, column]:.1f}, output {loops[column].output}, {CROSSTALKS[row][1]}"
        if len(loops) <= 12:
            for (y, x), value in np.ndenumerate(values):
                if np.isfinite(value):
                    dark = value < (floor + np.nanmax(values)) / 2
                    ink = "#ffffff" if dark else PAPER.ink
                    ax.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=5, color=ink)
        every = max(1, len(loops) // 12)
        ax.set_xticks(range(0, len(loops), every), labels=[str(loop.output) for loop in loops[::every]])
        ax.set_yticks(range(len(CROSSTALKS)), labels=[name for _, name in CROSSTALKS])
    else:
        _nothing(ax, "no crosstalk was measured")
    _small(ax, title, "output (white: not observable)" if np.isnan(values).any() else "output", "")
    return png(figure, dpi=PAPER_DPI)


def bars_picture(loops: Sequence[LoopFacts], *, width_mm: float, height_mm: float) -> bytes:
    """Draw gain and latency re their medians with error bars, and noise and distortion of every loop."""
    figure, (gain, latency, noise, distortion) = canvas(1, height_mm * MM, columns=4, width=width_mm * MM, ground=PAPER)
    for ax, key, unit in ((gain, "gain_db", "dB"), (latency, "latency_samples", "samples")):
        found = [
            (loop, figure_) for loop in loops if (figure_ := figures_of(loop).get(key)) and figure_.value is not None
        ]
        kind = BY_KEY[key]
        if not found:
            _nothing(ax, f"no {kind.label} was measured")
            _small(ax, kind.label, "output", unit)
            continue
        middle = statistics.median(f.value for _, f in found if f.value is not None)
        at = [loop.output for loop, _ in found]
        off = [(f.value or 0.0) - middle for _, f in found]
        colours = [COLOURS[0] if loop.ok else BAD_RED for loop, _ in found]
        ax.bar(at, off, yerr=[f.sd or 0.0 for _, f in found], color=colours, width=0.7, error_kw={"linewidth": 0.7})
        span = 1.2 * max(*(abs(o) + (f.sd or 0.0) for o, (_, f) in zip(off, found, strict=True)), 1e-6)
        ax.set_ylim(-span, span)
        _small(ax, f"{kind.label} re {middle:.{kind.digits}f} {unit}", "output", unit)
    _series(noise, loops, NOISES, "noise", "dBFS")
    _series(distortion, loops, DISTORTIONS, "distortion", "dB")
    return png(figure, dpi=PAPER_DPI)


def _series(ax: Axes, loops: Sequence[LoopFacts], keys: Sequence[tuple[str, str, str]], title: str, unit: str) -> None:
    """Draw several figures of every loop as marks with error bars."""
    drawn = False
    for colour, (key, name, mark) in zip(COLOURS, keys, strict=False):
        found = [(loop.output, f) for loop in loops if (f := figures_of(loop).get(key)) and f.value is not None]
        if not found:
            continue
        drawn = True
        at, bars = [output for output, _ in found], [f.sd or 0.0 for _, f in found]
        values = [f.value or 0.0 for _, f in found]
        ax.errorbar(at, values, yerr=bars, fmt=mark, markersize=2.2, linewidth=0.6, color=colour, label=name)
    if drawn:
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.45 * (high - low))
        ax.legend(fontsize=5, frameon=False, ncols=3, loc="upper center", handletextpad=0.1, columnspacing=0.6)
    else:
        _nothing(ax, f"no {title} was measured")
    _small(ax, title, "output", unit)


def _value(loop: LoopFacts, key: str) -> float:
    figure = figures_of(loop).get(key)
    return math.nan if figure is None or figure.value is None else figure.value


def _nothing(ax: Axes, what: str) -> None:
    ax.text(0.5, 0.5, what, ha="center", va="center", fontsize=6, color=BAD_RED, transform=ax.transAxes)


def _small(ax: Axes, title: str, x: str, y: str) -> None:
    label(ax, title, x, y, ground=PAPER)
    ax.title.set_fontsize(PAPER.points + 0.5)
    ax.yaxis.get_offset_text().set_fontsize(PAPER.points)
