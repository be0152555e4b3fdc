"""An agent's mailbox, `fleet/run/mail/<agent>`: messages that are to be typed into its pane.

Anybody may put; only the holder of `fleet/run/lock/<agent>` delivers. Beside each message lie in `cur/`:
the *mark* (`.typing`), durable before the first keystroke, and the *result*, one line of
:meth:`fleet.model.Receipt.line`, which is replaced while the message is held and last once it moved to
`cur/`. Stdlib only, blocking.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet.files import write_atomic
from fleet.messages import spool
from fleet.model import Envelope, Receipt


@dataclass(frozen=True, slots=True)
class Mark:
    """What was about to happen when it was written: which pane, when, and where its transcript ended.

    ``offset`` is in bytes, None where the program keeps no transcript. ``attempt`` counts from 1.
    """

    pane_id: str
    pane_pid: int
    ts: datetime
    offset: int | None = None
    attempt: int = 1


def put(folder: Path, envelope: Envelope) -> bool:
    """Queue a message. False when one of this id was ever put here (new, delivered or dead).

    Raises EnvelopeError for what is too large and OSError for a disk that does not take it.
    """
    return spool.put(folder, envelope)


def pending(folder: Path) -> list[Path]:
    """The message files that are not settled, oldest first."""
    return [path for path in spool.take_new(folder) if path.suffix == ".json"]


def result(folder: Path, envelope_id: str) -> Receipt | None:
    """The receipt so far, or None while nobody has looked at the message. A `held` one may change."""
    try:
        return Receipt.parse((folder / "cur" / f"{envelope_id}.result").read_text("utf-8").strip())
    except (FileNotFoundError, ValueError):
        return None


def write_result(folder: Path, envelope_id: str, receipt: Receipt) -> None:
    """Say what is known now."""
    write_atomic(folder / "cur" / f"{envelope_id}.result", (receipt.line() + "\n").encode(), durable=True)


def settle(folder: Path, envelope_id: str, receipt: Receipt) -> None:
    """Write the result; unless it is `held`, also move the message to `cur/` and lift the mark."""
    write_result(folder, envelope_id, receipt)
    if receipt.verdict == "held":
        return
    spool.done(folder, folder / "new" / spool.file_name(envelope_id))
    lift_mark(folder, envelope_id)


def is_settled(folder: Path, envelope_id: str) -> bool:
    """Whether the message left the queue (delivered, given up or dead)."""
    name = spool.file_name(envelope_id)
    return (folder / "cur" / name).exists() or (folder / "dead" / name).exists()


def mark(folder: Path, envelope_id: str, mark: Mark) -> None:
    """Write the mark; it survives a power loss from here on."""
    fields = {
        "v": 1,
        "pane": mark.pane_id,
        "pid": mark.pane_pid,
        "ts": mark.ts.astimezone(UTC).isoformat(),
        "offset": mark.offset,
        "attempt": mark.attempt,
    }
    write_atomic(_mark_path(folder, envelope_id), json.dumps(fields).encode(), durable=True)


def read_mark(folder: Path, envelope_id: str) -> Mark | None:
    """The mark of a message that somebody began to type, or None. One that cannot be read is treated as
    "something was begun": it comes back with an empty pane id."""
    try:
        data = _mark_path(folder, envelope_id).read_bytes()
    except FileNotFoundError:
        return None
    try:
        raw = json.loads(data)
        offset = raw.get("offset")
        return Mark(
            pane_id=str(raw["pane"]),
            pane_pid=int(raw["pid"]),
            ts=datetime.fromisoformat(raw["ts"]),
            offset=None if offset is None else int(offset),
            attempt=int(raw.get("attempt", 1)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Mark(pane_id="", pane_pid=0, ts=datetime.fromtimestamp(0, UTC))


def lift_mark(folder: Path, envelope_id: str) -> None:
    _mark_path(folder, envelope_id).unlink(missing_ok=True)


def _mark_path(folder: Path, envelope_id: str) -> Path:
    return folder / "cur" / f"{envelope_id}.typing"
