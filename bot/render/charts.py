"""Pictures of reports: `python -m bot.render.charts OUT.png`, the chart as JSON on stdin.

A program of its own, run for one picture: matplotlib stays out of the bot. Opaque, one look for light and
dark clients, and every group has a shape and a pattern besides its colour.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

WIDTH_PX, HEIGHT_PX, DPI = 1200, 675, 100
_PAPER, _INK, _SOFT = "#fbfaf6", "#1d2026", "#565c66"  # ink 15:1 and soft 6:1 on the paper
_MAX_NAMES = 58  # characters of names beside a bar


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, marker and hatch of one group."""

    colour: str
    marker: str
    hatch: str


LOOKS: Mapping[str, Look] = {
    "blocked": Look("#b3261e", "^", "//"),
    "failed": Look("#7a3e00", "X", "xx"),
    "working": Look("#0b57a4", "o", ""),
    "available": Look("#22702c", "s", ".."),
    "unknown": Look("#565c66", "D", "--"),
}


def draw_readiness(chart: Mapping[str, Any], out: Path) -> None:
    """Bars of agents by group, each with its names. Raises KeyError for a group without a look, OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups: Sequence[Mapping[str, Any]] = chart["groups"]
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.19, 0.1, 0.77, 0.72), facecolor=_PAPER)
    most = max((len(g["names"]) for g in groups), default=0) or 1
    for place, group in enumerate(groups):
        look, names = LOOKS[group["key"]], list(group["names"])
        axes.barh(
            place, len(names), height=0.42, color=look.colour, edgecolor=_PAPER, hatch=look.hatch, linewidth=0
        )
        axes.plot(
            [-0.04 * most],
            [place],
            marker=look.marker,
            markersize=15,
            color=look.colour,
            clip_on=False,
            linestyle="",
        )
        axes.text(
            -0.075 * most,
            place,
            group["label"],
            ha="right",
            va="center",
            fontsize=21,
            color=_INK,
            parse_math=False,
        )
        axes.text(
            len(names) + 0.015 * most,
            place,
            f"{len(names)}",
            ha="left",
            va="center",
            fontsize=24,
            fontweight="bold",
            color=look.colour if names else _SOFT,
        )
        axes.text(
            0.0,
            place + 0.37,
            shortened(names),
            ha="left",
            va="center",
            fontsize=20,
            color=_SOFT,
            parse_math=False,
        )
    axes.set_xlim(0, most * 1.12)
    axes.set_ylim(len(groups) - 0.35, -0.55)
    axes.axis("off")
    figure.text(0.04, 0.9, chart["title"], fontsize=28, fontweight="bold", color=_INK, parse_math=False)
    figure.text(0.04, 0.035, chart["footer"], fontsize=16, ha="left", color=_SOFT, parse_math=False)
    figure.savefig(out, format="png", dpi=DPI, facecolor=_PAPER, transparent=False)


def shortened(names: Sequence[str]) -> str:
    """Names with commas, as many as fit, and how many do not."""
    shown: list[str] = []
    for place, name in enumerate(names):
        if shown and len(", ".join([*shown, name])) > _MAX_NAMES:
            return f"{', '.join(shown)} and {len(names) - place} more"
        shown.append(name)
    return ", ".join(shown)


def main() -> int:
    """Exit 0 with the picture written, 3 for a chart that is none, 1 for a place that cannot be written."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m bot.render.charts OUT.png < chart.json\n")
        return 3
    try:
        chart = orjson.loads(sys.stdin.buffer.read())
        if chart["kind"] != "readiness":
            raise KeyError(chart["kind"])
        draw_readiness(chart, Path(sys.argv[1]))
    except (orjson.JSONDecodeError, KeyError, TypeError) as problem:
        sys.stderr.write(f"no chart that can be drawn: {type(problem).__name__}: {problem}\n")
        return 3
    except OSError as problem:
        sys.stderr.write(f"the picture cannot be written: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
