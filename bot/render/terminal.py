"""A document in a terminal: colour and drawn tables on a tty, plain lines in a pipe or with NO_COLOR."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

from bot.document import Document, Footer, Heading, Table, Text, Tone
from bot.render.plain import block_lines

_STYLES = {Tone.GOOD: "green", Tone.WARN: "yellow", Tone.BAD: "red", Tone.DIM: "dim"}
_READY = {"working": "green", "available": "cyan", "stuck": "yellow", "stale": "red", "dead": "red"}


def show(document: Document, out: TextIO, env: Mapping[str, str]) -> None:
    """Write the document to ``out``. Raises BrokenPipeError when the reader has gone."""
    if not out.isatty() or env.get("NO_COLOR") or env.get("TERM") == "dumb":
        for block in document.blocks:
            for line in block_lines(block, narrow=False):
                out.write(line + "\n")
        out.flush()
        return
    _coloured(document, out)


def _coloured(document: Document, out: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    console = Console(file=out, highlight=False)
    for block in document.blocks:
        match block:
            case Text(text, tone):
                console.print(RichText(text, style=_STYLES.get(tone, "")))
            case Heading(text):
                console.print(RichText(text, style="bold"))
            case Footer(text):
                console.print(RichText(text, style="dim"))
            case Table(columns, rows):
                drawn = RichTable(box=None, pad_edge=False, header_style="bold")
                for column in columns:
                    drawn.add_column(
                        column.title, justify="right" if column.right else "left", overflow="fold"
                    )
                for row in rows:
                    drawn.add_row(
                        *(RichText(cell, style=_READY.get(cell.rpartition("/")[2], "")) for cell in row)
                    )
                console.print(drawn)
            case _:
                for line in block_lines(block, narrow=False):
                    console.print(RichText(line))


def show_error(text: str) -> None:
    """One paragraph on stderr. A text that brings its own prefix keeps it."""
    sys.stderr.write(f"{text}\n" if text.startswith("[mosaic]") else f"mosaic: {text}\n")
    sys.stderr.flush()
