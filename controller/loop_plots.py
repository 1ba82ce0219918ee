"""Pictures of loops, for paper and for the screen, as PNG: trends, responses, bars with error bars, crosstalk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from controller.figures import BY_KEY
from controller.plots import ACCENT, PRINT, canvas, label, png

if TYPE_CHECKING:
    from controller.loop_history import Trend

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
