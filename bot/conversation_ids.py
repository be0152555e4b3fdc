"""Handles of conversations: 12 random characters that an agent can type back."""

from __future__ import annotations

import secrets

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def new_handle() -> str:
    """60 random bits in the alphabet of 06-interfaces (`[a-z2-7]{12}`)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(12))
