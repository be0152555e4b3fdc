"""From words to the declaration they mean, or to what they may have meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bot.commands.catalog import CATALOG, GROUPS
from bot.commands.registry import Command

HELP_WORDS = frozenset({"-h", "--help"})


@dataclass(frozen=True, slots=True)
class Found:
    """``rest`` is what stands behind the command's own words."""

    command: Command
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """No verb was given, or help was wanted: of ``group``, or of everything (None)."""

    group: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """``word`` means nothing here; ``near`` is one that does. ``group`` is where it was looked for."""

    word: str
    near: str | None
    group: str | None


Looked: TypeAlias = Found | Overview | Unknown


def find(words: Sequence[str]) -> Looked:
    """The command at the beginning of ``words``. A verb of `fleet` may stand alone (`ps`)."""
    if not words or words[0].lower() in HELP_WORDS:
        return Overview()
    head = words[0].lower()
    pair = (head, words[1].lower()) if len(words) > 1 else None
    for command in CATALOG:
        for path in (command.path, *command.aliases):
            if pair == path:
                return Found(command, tuple(words[2:]))
            if (head,) == path:
                return Found(command, tuple(words[1:]))
    if head in GROUPS:
        if pair is None or pair[1] in HELP_WORDS:
            return Overview(head)
        return Unknown(words[1], _near(pair[1], verbs_of(head)), head)
    if head in verbs_of("fleet"):
        return find(("fleet", *words))
    tops = [*GROUPS, *(c.path[0] for c in CATALOG if len(c.path) == 1 and not c.hidden)]
    return Unknown(words[0], _near(head, tops), None)


def of_group(group: str) -> list[Command]:
    """The commands of a group, as declared."""
    return [command for command in CATALOG if len(command.path) == 2 and command.path[0] == group]


def verbs_of(group: str) -> list[str]:
    return [command.path[1] for command in of_group(group) if not command.hidden]


def _near(word: str, known: Sequence[str]) -> str | None:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return close[0] if close else None
