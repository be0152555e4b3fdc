"""What a message says to the stub: its header, and the words it obeys. Pure."""

from __future__ import annotations

import datetime
import re

PREAMBLE = re.compile(r"^\[(\S+) -> (\S+?)(?: class=(terminal-log|actionable|human|reaction))?\] (.*)$", re.S)
SPLIT = re.compile(r"(?:^|\n\n)(?=\[\S+ -> \S+?(?: class=(?:terminal-log|actionable|human|reaction))?\] )")
HANDLE = re.compile(r"/([a-z0-9]{4,12}(?:\.\d+)?)$")
WORDS = frozenset(
    (
        "block",
        "unblock",
        "ask",
        "escalate",
        "log",
        "react",
        "send",
        "finish",
        "hang",
        "slow",
        "say",
        "spend",
        "crash",
    )
)
NEEDS_TEXT = frozenset(("ask", "escalate", "log", "react", "send", "slow", "say", "spend"))


def now_text() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 - any Python 3.9 of the host must do
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_message(text: str) -> tuple[str, str | None, str]:
    """Source ("" when unknown), class and body of one message."""
    found = PREAMBLE.match(text)
    return (found[1], found[3], found[4]) if found else ("", None, text)


def parse_directive(body: str, from_person: bool) -> tuple[str, str] | None:
    """The word and the rest of its line, or None where the message is just words."""
    line = body.strip().split("\n", 1)[0].strip()
    prefixed = re.match(r"stub[: ]\s*", line)
    if from_person and not line.startswith("stub:"):
        return None
    rest = line[prefixed.end() :] if prefixed else line
    word, _, argument = rest.partition(" ")
    argument = argument.strip()
    if word not in WORDS or (word in NEEDS_TEXT and not argument):
        return None
    return word, argument
