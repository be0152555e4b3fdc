"""A document as plain text lines: the body of a chat message, and a terminal that is not a tty. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.document import Block, Bullets, Code, Document, Footer, Heading, Pairs, Picture, Table, Text
from bot.render.cells import one_line, pad, width


def document_lines(document: Document, *, narrow: bool) -> list[str]:
    """Every block's lines; ``narrow`` takes the phone form of tables, else their columns."""
    return [line for block in document.blocks for line in block_lines(block, narrow=narrow)]


def block_lines(block: Block, *, narrow: bool) -> list[str]:
    match block:
        case Text(text) | Heading(text) | Footer(text):
            return text.splitlines() or [""]
        case Code(text):
            return text.splitlines()
        case Bullets(items):
            return [f"• {item}" for item in items]
        case Pairs(items):
            return pair_lines(items)
        case Table(narrow=lines):
            return list(lines) if narrow else table_lines(block)
        case Picture(_, alt):
            return [alt]


def pair_lines(items: Sequence[tuple[str, str]]) -> list[str]:
    """Keys in one column, values beside them."""
    space = min(max((width(key) for key, _ in items), default=0), 16)
    return [f"{pad(key, max(space, width(key)))}  {value}" for key, value in items]


def table_lines(table: Table) -> list[str]:
    """Columns as wide as their widest cell, the last one ragged."""
    titles = tuple(column.title for column in table.columns)
    rows = [titles, *(tuple(one_line(cell) for cell in row) for row in table.rows)]
    widths = [max(width(row[n]) for row in rows) for n in range(len(titles))]
    lines = []
    for row in rows:
        cells = [pad(cell, widths[n], right=table.columns[n].right) for n, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines
