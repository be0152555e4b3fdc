"""What a screen may show to a room: no control sequences, no secrets that can be told by their form. Pure."""

from __future__ import annotations

import re

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}"),
    re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{10,}"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(r"\bAIza[0-9A-Za-z_-]{30,}"),
    re.compile(r"\bsy[tr]_[A-Za-z0-9_=-]{16,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"),
)
_NAMED = re.compile(
    r"(?i)(\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization)[\w-]*\s*[:=]\s*(?:bearer\s+)?)"
    r"(\"[^\"\n]+\"|'[^'\n]+'|[^\s\"']+)"
)
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]+:)([^\s/@]+)(@)", re.IGNORECASE)
_RULE = re.compile(r"([─━═_\-=*])\1{31,}")  # a drawn line as wide as the pane says no more than a short one
HIDDEN = "(hidden)"
RULE = 32


def shown(text: str) -> str:
    """``text`` as it may be posted."""
    text = _CONTROLS.sub("", _SEQUENCES.sub("", text))
    text = _RULE.sub(lambda found: found[1] * RULE, text)
    for secret in _SECRETS:
        text = secret.sub(HIDDEN, text)
    text = _NAMED.sub(lambda found: found[1] + HIDDEN, text)
    return _IN_URL.sub(lambda found: found[1] + HIDDEN + found[3], text)
