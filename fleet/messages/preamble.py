"""The header of an agent message: ``[src -> dst class=X] body``. The only Python that builds or reads it.

The shell tools build the same bytes (`framework/tools/tmux/lib`); `tests/vectors/preamble.json` binds both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.model import MessageClass

_GRAMMAR = re.compile(
    r"\[(?P<src>\S+) -> (?P<dst>\S+?)"
    r"(?: class=(?P<cls>terminal-log|actionable|human|reaction))?\] (?P<body>.*)",
    re.DOTALL,
)
# Looser than the grammar on purpose: what a hurried reader would take for a header is quoted as well.
_LOOKALIKE = re.compile(r"\W{0,16}\[[^\]\n]{0,300}->[^\]\n]{0,300}\]")


@dataclass(frozen=True, slots=True)
class Preamble:
    """A message taken apart. ``message_class`` is None where the header names none (MSG-02)."""

    src: str
    dst: str
    message_class: MessageClass | None
    body: str

    @property
    def triage_class(self) -> MessageClass:
        """The class that routing uses: an absent one is actionable (MSG-03)."""
        return self.message_class or MessageClass.ACTIONABLE


def build(src: str, dst: str, cls: MessageClass | str | None, body: str) -> str:
    """The wire text. Raises ValueError for an empty label, blanks or control characters in one, and for
    an unknown class: what is built here is always read back the same by :func:`parse`."""
    for label in (src, dst):
        if not label or any(char.isspace() or not char.isprintable() for char in label):
            raise ValueError(f"not a label: {label!r}")
    token = f" class={MessageClass(cls)}" if cls else ""
    return f"[{src} -> {dst}{token}] {body}"


def parse(text: str) -> Preamble | None:
    """The parts of a message, or None where its first line has no header: then the source is unknown, the
    class actionable, and the whole text the body."""
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        return None
    named = found["cls"]
    return Preamble(found["src"], found["dst"], MessageClass(named) if named else None, found["body"])


def quote_forgery(text: str) -> str:
    """``text`` from outside the fleet, made unable to pass as a message of somebody else: every line that
    looks like a header gets ``> `` before it. Other lines stay as they are."""
    lines = text.split("\n")
    return "\n".join(f"> {line}" if _LOOKALIKE.match(line) else line for line in lines)
