"""From what a person typed in a room to the words of a command. Pure; understands phones' punctuation."""

from __future__ import annotations

import re
import shlex

NAME = "fleet"  # the bot's own name, as an address

_ADDRESSED = re.compile(rf"^(?:@{NAME}\b[:,]?|{NAME}[:,])\s*", re.IGNORECASE)
_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_QUOTE_LINE = re.compile(r"^\s*>.*(?:\n|\Z)", re.MULTILINE)
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_NOTHING = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")
_INNER = re.compile(r"(?<=\w)['\u2019\u02bc](?=\w)")  # don't, it’s: an apostrophe, never a quote
_DASHED_LETTER = re.compile(r"(?:(?<=\s)|^)\u2013(?=\w(?:\s|$))")
_DASHED = re.compile(r"(?:(?<=\s)|^)(?:\u2014|\u2013|\u2015)(?=\w)")
_DOUBLE = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"')
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
)
_KEPT = "\ue000"  # stands for an inner apostrophe while shlex reads


class WordsError(Exception):
    """The text is not one command; ``str()`` is the line to answer with."""


def stripped(text: str) -> str:
    """Without quoted replies and code blocks: what stands in those was not said now."""
    return _QUOTE_LINE.sub("", _FENCE.sub("", text)).strip()


def is_command(text: str, prefix: str = "!") -> bool:
    """Whether the text is addressed to the bot as a command: `!word…`, `@fleet …`, `fleet: …`."""
    return _after_address(stripped(_plain(text)), prefix) is not None


def split(text: str, prefix: str = "!") -> list[str]:
    """The words, without prefix, as a shell would cut them. Raises WordsError (more than one line, a quote
    left open); nothing is ever expanded or run. An address alone gives no words."""
    said = stripped(_plain(text))
    rest = _after_address(said, prefix)
    if rest is None:
        raise WordsError(f"Not a command: it begins with `{prefix}`.")
    if "\n" in said:
        raise WordsError("One line, please.")
    return cut(rest)


def cut(line: str) -> list[str]:
    """The words of one line. Raises WordsError for a quote left open."""
    line = _INNER.sub(_KEPT, line).translate(_DOUBLE)
    line = _DASHED.sub("--", _DASHED_LETTER.sub("-", line))
    try:
        return [word.replace(_KEPT, "'") for word in shlex.split(line)]
    except ValueError:
        raise WordsError('A quote is left open. Put text with quotes in it between "…".') from None


def _plain(text: str) -> str:
    return _SPACES.sub(" ", _NOTHING.sub("", text)).replace("\r\n", "\n")


def _after_address(text: str, prefix: str) -> str | None:
    if text.startswith(prefix):
        rest = text[len(prefix) :]
        return rest if rest[:1].isalpha() else None
    addressed = _ADDRESSED.match(text)
    return text[addressed.end() :] if addressed else None
