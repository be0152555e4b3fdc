"""Take secrets out of text that leaves a pane for people. Pure; a net with meshes, not a wall."""

from __future__ import annotations

import re

_KEYS = re.compile(
    r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|syt_\w{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_NAMED = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|credential)[\w-]*[\"']?\s*[=:]\s*)"
    r"(\"[^\"\n]+\"|'[^'\n]+'|[^\s,;\"']+)"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}")
_URL = re.compile(r"(\w+://[^\s/:@]+:)[^\s/@]+(@)")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)

HIDDEN = "‹hidden›"


def redact(text: str) -> str:
    """``text`` with what looks like a key, password or token replaced."""
    text = _PEM.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _URL.sub(rf"\1{HIDDEN}\2", text)
    text = _KEYS.sub(HIDDEN, text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)
