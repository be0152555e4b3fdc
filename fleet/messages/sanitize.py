"""What may reach a pane. Pure; `framework/tools/tmux/lib/paste.sh` does the same where no node lives."""

from __future__ import annotations

import re

# Whole terminal sequences, so that no rest of one stays as text: CSI, OSC/DCS/SOS/PM/APC up to their end.
_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-~]?"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that make text read otherwise than it stands: direction marks and invisible tag letters.
_INVISIBLE = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_SURROGATE = re.compile("[\ud800-\udfff]")

# First characters that a program takes as its own command, as tried on the real ones. A blank before it
# defuses; pi runs ` !cmd` all the same, so there a word goes first.
_COMMANDS = {"claude": "/!#@", "codex": "/!#@", "opencode": "/!#@", "pi": "/!#@", "stub": "/"}
_EVERY = "/!#@"


def clean(text: str) -> str:
    """``text`` with line ends as LF, without terminal sequences and control characters (tab and line feed
    stay), with direction and tag characters shown as ``\\u202e``. Idempotent; never raises."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", _SEQUENCE.sub("", text))
    text = _SURROGATE.sub("\ufffd", text)
    return _INVISIBLE.sub(_escape, text)


def neutralise(text: str, runtime: str) -> str:
    """``text`` that begins a prompt of that runtime, unable to be its command. Only for raw text: behind a
    preamble nothing is at the beginning (an unknown runtime gets the widest rule)."""
    if text[:1] and text.lstrip()[:1] in tuple(_COMMANDS.get(runtime, _EVERY)):
        return f"Text: {text}" if runtime == "pi" and text.lstrip().startswith("!") else f" {text}"
    return text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
