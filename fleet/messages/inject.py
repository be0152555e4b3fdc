"""From an envelope to the exact text that is pasted into a pane. Pure."""

from __future__ import annotations

from collections.abc import Callable

from fleet.messages.preamble import build
from fleet.messages.sanitize import clean
from fleet.model import Envelope, MessageClass
from fleet.runtimes.base import squeeze


def wire_text(envelope: Envelope) -> str:
    """Preamble and body, cleaned of what must not reach a terminal (20-messaging).

    A reaction is one line whatever its body; attachments follow as one line each with their path. The
    class stands in the preamble only where the envelope names one.
    """
    body = clean(envelope.body)
    if envelope.message_class is MessageClass.REACTION:
        body = " ".join(body.split())
    for file in envelope.attachments:
        body += clean(f"\n(attached: {file.path}, {file.mime}, {file.size_bytes} bytes)")
    return clean(build(envelope.src, envelope.dst, envelope.message_class, body))


def matcher(envelope: Envelope, wire: str) -> Callable[[str], bool]:
    """Tells whether a submitted prompt holds this message: by its token where it has one, never by the
    body then; else by the whole wire text, blanks aside, because programs wrap and retab."""
    if envelope.token:
        mark = f"/{envelope.token}->"
        return lambda prompt: mark in squeeze(prompt)
    wanted = squeeze(wire)
    return lambda prompt: wanted in squeeze(prompt)
