"""Reading the roster's bytes, and whose they are: the cheap part, without a parser."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from fleet.roster.problem import Problem, RosterError

SIZE_LIMIT_BYTES = 1_000_000


def read_roster_bytes(path: Path) -> bytes:
    """The bytes of the roster file. Raises RosterError (missing, not readable, a folder, over 1 MB)."""
    try:
        with path.open("rb") as handle:
            data = handle.read(SIZE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise whole(path, "the file does not exist", "Make one with `mosaic init`.") from None
    except OSError as problem:
        said = f"the file cannot be read ({problem.strerror or problem})"
        raise whole(path, said, "Mend its owner and mode.") from None
    if len(data) > SIZE_LIMIT_BYTES:
        raise whole(path, "the file is larger than 1 MB", "A roster is small text; put the right file there.")
    return data


def whole(path: Path, text: str, mend: str) -> RosterError:
    """An error about the file as a whole."""
    return RosterError([Problem(path, None, "", text, mend)])


def unix_user() -> str:
    """The name of this process' Unix user, or its number where the system knows no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
