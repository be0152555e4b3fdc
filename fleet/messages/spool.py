"""A maildir of envelopes: written in `tmp/`, renamed into `new/`, put away into `cur/` or `dead/`.

Nobody ever sees half a file, and names sort by age because they are ULIDs. Blocking disk calls; callers in
an event loop use ``asyncio.to_thread``. Stdlib only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fleet.files import sync_folder, write_atomic
from fleet.messages.envelope import encode
from fleet.model import Envelope

FOLDERS = ("tmp", "new", "cur", "dead")


def prepare(folder: Path) -> None:
    """Make the four folders (0700)."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)


def file_name(envelope_id: str) -> str:
    return f"{envelope_id}.json"


def put(folder: Path, envelope: Envelope, *, within: Iterable[str] = ("new", "cur", "dead")) -> bool:
    """Put ``envelope`` into `new/`, durably. False, and nothing done, when a file of its id already lies in
    one of the folders ``within``. Raises EnvelopeError (too large) and OSError (disk full, rights)."""
    data = encode(envelope)
    prepare(folder)
    name = file_name(envelope.id)
    # A file only ever moves forward, so looking in this order cannot miss one on its way.
    if any((folder / place / name).exists() for place in within):
        return False
    temp = folder / "tmp" / f"{name}.{os.getpid()}"
    write_atomic(temp, data, durable=True)
    try:
        os.link(temp, folder / "new" / name)  # unlike a rename it never replaces a file that is there
    except FileExistsError:
        return False
    finally:
        temp.unlink(missing_ok=True)
    sync_folder(folder / "new")
    return True


def take_new(folder: Path) -> list[Path]:
    """The files that wait, oldest first; they stay until put away. A missing folder is empty."""
    try:
        with os.scandir(folder / "new") as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    return [folder / "new" / name for name in sorted(names)]


def done(folder: Path, path: Path) -> None:
    """The file was dealt with: into `cur/`. One that is no longer there was put away by somebody else."""
    _move(path, folder / "cur" / path.name)


def bury(folder: Path, path: Path, reason: str) -> None:
    """The file cannot be used: into `dead/`, with `<name>.reason` beside it saying why."""
    write_atomic(folder / "dead" / f"{path.name}.reason", (reason.strip() + "\n").encode("utf-8", "replace"))
    _move(path, folder / "dead" / path.name)


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        path.replace(target)
    except FileNotFoundError:
        return
    sync_folder(target.parent)
