"""Pictures of loops, for paper and for the screen, as PNG: trends, responses, bars with error bars, crosstalk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from controller.figures import BY_KEY
from controller.plots import ACCENT, PRINT, canvas, label, png

if TYPE_CHECKING:
    from controller.loop_history import Trend
    from controller.plots import Axes
    from controller.response_compare import ResponseComparison

COLOURS = ("#1f6fb2", "#c8501e", "#2e8b57", "#8e44ad", "#b8860b", "#008b8b", "#b03060", "#556b2f")
MOST_LINES = 8
DPI = 200


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
    worst = f"{found.worst_db:+.3f} dB at {found.worst_db_hz:.4g} Hz"
    label(difference, f"theirs less ours; most: {worst}", "", "dB", ground=PRINT)
    if phase is not None and found.worst_deg is not None and found.worst_deg_hz is not None:
        axes[2].plot(found.hz, phase, color=COLOURS[2], linewidth=1.0)
        axes[2].plot([found.worst_deg_hz], [found.worst_deg], "o", color=COLOURS[1], markersize=4)
        worst = f"{found.worst_deg:+.2f}° at {found.worst_deg_hz:.4g} Hz"
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
