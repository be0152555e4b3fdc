"""A document as Matrix messages: HTML and a plain body that says the same, within a phone's 38 columns.

Everything is escaped; nothing that an agent or a person wrote is read as markup. Output of more than 12 lines
or 1,500 characters is cut to its head, and the whole goes along as a file where ``save`` can keep one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

from bot.document import Block, Bullets, Code, Document, Footer, Heading, Pairs, Picture, Table, Text, Tone
from bot.render.cells import clip, width
from bot.render.plain import block_lines
from connectors.protocol import Content, File

COLUMNS = 38
LONG_LINES = 12
LONG_CHARS = 1500
HEAD_LINES = 8
TABLE_LINES = 60  # a table of the fleet is what was asked for: it is cut much later
_TICKS = re.compile(r"`([^`\n]+)`")

Save = Callable[[str], Path]


def render(document: Document, save: Save | None = None) -> list[Content]:
    """The messages, in order: the text, the whole text as a file where it was cut, each picture.

    ``save`` writes a text to a file that stays until it is sent and returns its path; without it, what is cut
    is only counted. All are silent; the caller decides on pings.
    """
    bodies: list[str] = []
    marked: list[str] = []
    pictures: list[Content] = []
    cut: list[str] = []
    for block in document.blocks:
        if isinstance(block, Picture):
            pictures.append(_picture(block))
            continue
        lines, rest = _limited(block)
        cut += rest
        bodies.append("\n".join(lines))
        marked.append(_html(block, lines))
    out = [Content(text="\n".join(bodies), html=_joined(marked))] if bodies else []
    if cut and save is not None:
        whole = "\n".join(line for block in document.blocks for line in block_lines(block, narrow=False))
        name = "answer.json" if _is_json(document) else "answer.txt"
        mime = "application/json" if name.endswith("json") else "text/plain"
        out.append(Content(text=name, file=File(save(whole + "\n"), name, mime, "the whole answer")))
    return [*out, *pictures]


def _limited(block: Block) -> tuple[list[str], list[str]]:
    """The lines that are shown, and those that are not."""
    lines = block_lines(block, narrow=True)
    limit = TABLE_LINES if isinstance(block, Table) else LONG_LINES
    chars = sum(len(line) + 1 for line in lines)
    if len(lines) <= limit and (isinstance(block, Table) or chars <= LONG_CHARS):
        return lines, []
    head = TABLE_LINES if isinstance(block, Table) else HEAD_LINES
    shown = [clip(line, LONG_CHARS // HEAD_LINES) for line in lines[:head]]
    rest = lines[head:]
    return [*shown, f"… {len(rest)} more" if rest else "… cut"], rest or ["…"]


def _joined(marked: list[str]) -> str:
    """Paragraphs alone are joined by line breaks: a short answer stays as tight as a person's."""
    if all(part.startswith("<p>") for part in marked):
        return "<br>".join(part.removeprefix("<p>").removesuffix("</p>") for part in marked)
    return "".join(marked)


def _html(block: Block, lines: list[str]) -> str:
    shown = "\n".join(lines)
    match block:
        case Heading():
            return f"<p><strong>{_escape(shown)}</strong></p>"
        case Text(_, tone):
            inner = _inline(shown)
            return f"<p>{inner}</p>" if tone is not Tone.DIM else f"<p><em>{inner}</em></p>"
        case Footer():
            return f"<p><em>{_escape(shown)}</em></p>"
        case Bullets():
            return (
                "<ul>" + "".join(f"<li>{_inline(line.removeprefix('• '))}</li>" for line in lines) + "</ul>"
            )
        case Pairs(items) if any(width(line) > COLUMNS for line in lines):
            pairs = "<br>".join(f"<strong>{_escape(key)}</strong> {_inline(value)}" for key, value in items)
            return f"<p>{pairs}</p>"
        case Code(_, language) if language:
            return f'<pre><code class="language-{_escape(language)}">{_escape(shown)}</code></pre>'
        case Code() | Table() | Pairs():
            return f"<pre><code>{_escape(shown)}</code></pre>"
        case _:
            return f"<p>{_inline(shown)}</p>"


def _inline(text: str) -> str:
    """Escaped, line breaks kept; `…` between back-ticks as code."""
    return _TICKS.sub(r"<code>\1</code>", _escape(text)).replace("\n", "<br>")


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _picture(block: Picture) -> Content:
    return Content(text=block.alt, file=File(block.path, block.path.name, "image/png", block.alt))


def _is_json(document: Document) -> bool:
    return any(isinstance(block, Code) and block.language == "json" for block in document.blocks)
