"""Long words of an agent: a few parts at paragraphs, more than that as a file (conventions row 24)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectors.protocol import File

PART = 3_500  # characters
MOST_PARTS = 3


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    file: File | None = None


def parts_of(body: str, folder: Path, key: str) -> list[Part]:
    """Split ``body``; what needs more than three parts is written to ``folder`` under a name from ``key``
    (the same key gives the same file) and goes as a file after its first part. Raises OSError."""
    pieces = split(body, PART)
    if len(pieces) == 1:
        return [Part(pieces[0])]
    if len(pieces) <= MOST_PARTS:
        return [Part(f"{piece}\n({n}/{len(pieces)})") for n, piece in enumerate(pieces, 1)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key.replace(':', '-').replace('/', '-')}.md"
    path.write_text(body)
    whole = File(path, "answer.md", "text/markdown", f"the whole answer, {len(body)} characters")
    return [Part(f"{pieces[0]}\n(the rest is in the file)"), Part("the whole answer", whole)]


def split(body: str, limit: int) -> list[str]:
    """Pieces of at most ``limit`` characters, cut at a paragraph, else a line, else a space, else hard."""
    pieces = []
    rest = body
    while len(rest) > limit:
        cut = next(
            (at for mark in ("\n\n", "\n", " ") if (at := rest.rfind(mark, limit // 2, limit)) > 0), limit
        )
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip("\n")
    pieces.append(rest)
    return pieces
