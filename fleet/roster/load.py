"""Load the roster: bytes → values with lines → checked → `fleet.model.Roster`.

Importing this module is cheap; pydantic comes in with the first load. Programs that start often use
``fleet.roster.cache.current_roster``, which needs none of it while the file is unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.model import Roster
from fleet.roster import text, words
from fleet.roster.file import read_roster_bytes, unix_user
from fleet.roster.problem import Problem, RosterError, did_you_mean
from fleet.roster.shape import line_of, normalise

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Problem", "RosterError", "load_roster", "parse_roster", "unix_user"]


def load_roster(path: Path) -> Roster:
    """Read and check the roster file (YAML or JSON, at most 1 MB, UTF-8). Raises RosterError."""
    return parse_roster(read_roster_bytes(path), path)


def parse_roster(data: bytes, path: Path, *, user: str | None = None) -> Roster:
    """The roster that ``data`` describes; ``path`` only names it in errors. ``user`` is the Unix user who
    becomes the tenant where the file names none (default: of this process). Raises RosterError."""
    from pydantic import ValidationError

    from fleet.roster.models import RosterModel
    from fleet.roster.rules import build

    parsed = text.parse(data, path)
    values, problems = normalise(parsed, path)
    problems += _head(values, parsed, path)
    if problems:
        raise RosterError(problems)
    try:
        model = RosterModel.model_validate(values)
    except ValidationError as bad:
        raise RosterError([_problem(error, values, parsed, path) for error in bad.errors()]) from None
    roster, problems = build(
        model, unix_user=user or unix_user(), file=path, line_of=lambda at: line_of(parsed, at)
    )
    if problems:
        raise RosterError(problems)
    return roster


def _head(values: dict[str, Any], parsed: text.Parsed, path: Path) -> list[Problem]:
    found: list[Problem] = []
    for key, wanted in (("version", 1), ("transport", "tmux")):
        given = values.get(key)
        if key not in values:
            found.append(Problem(path, None, key, "is missing", f"Add `{key}: {wanted}`."))
        elif given != wanted or isinstance(given, bool):
            said = f"`{given}` is not supported"
            found.append(
                Problem(path, line_of(parsed, (key,)), key, said, f"This version supports `{key}: {wanted}`.")
            )
    if "agents" not in values and "agents" in parsed.values:
        values["agents"] = []  # `agents:` with nothing under it
    elif "agents" not in values:
        found.append(Problem(path, None, "agents", "is missing", "Add `agents:` with one entry per agent."))
    return found


def _problem(error: ErrorDetails, values: dict[str, Any], parsed: text.Parsed, path: Path) -> Problem:
    at: text.KeyPath = tuple(error["loc"])
    said, mend = _say(error, at)
    key = text.show_path(at)
    name = _agent_name(at, values)
    return Problem(path, line_of(parsed, at), f"{key} ({name})" if name else key, said, mend)


def _agent_name(at: text.KeyPath, values: dict[str, Any]) -> str | None:
    if len(at) < 3 or at[0] != "agents" or at[2] == "name" or not isinstance(at[1], int):
        return None
    name = values["agents"][at[1]].get("name")
    return name if isinstance(name, str) else None


def _say(error: ErrorDetails, at: text.KeyPath) -> tuple[str, str]:
    """The error in our words, and the mend."""
    kind, given = error["type"], _shown(error["input"])
    last = str(at[-1]) if at else ""
    if kind == "missing":
        return "is missing", f"Add `{last}:`."
    if kind == "literal_error":
        known = tuple(word.strip("'") for word in _expected(error).replace(" or ", ", ").split(", "))
        return f"`{given}` is not one of {', '.join(known)}", did_you_mean(given, known)
    if kind == "string_type":
        return f"`{given}` is read as a {_kind(error['input'])}, but text is wanted", "Put it in quotes."
    if kind == "bool_type":
        return f"`{given}` is not true or false", "Write true or false, without quotes."
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return f"`{given}` is not a mapping", "Write `key: value` lines under it."
    if kind == "list_type":
        return f"`{given}` is not a list", "Write one entry per line, each with `- ` before it."
    if kind == "string_pattern_mismatch":
        return f"`{given}` is not allowed", _PATTERN_MENDS.get(last, "Use letters, digits, `-`, `_`, `.`.")
    if kind == "string_too_short":
        return "is empty", "Give it a value or leave the key out."
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, "), ""
    return str(error["msg"]), ""


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _expected(error: ErrorDetails) -> str:
    return str((error.get("ctx") or {}).get("expected", ""))


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list | dict):
        return "list or mapping"
    return "date" if hasattr(value, "isoformat") else type(value).__name__


_SOCKET_MEND = "A socket is a plain name like `mosaic-fleet`, not a path; absent is tmux's default socket."
_PATTERN_MENDS = {
    "name": "A name has small letters, digits, `-` and `_`, begins with a letter or digit, "
    "and is at most 64 long.",
    "class": f"A class is one lower-case word, like {', '.join(words.CLASSES[:3])}.",
    "socket": _SOCKET_MEND,
    "socket_name": _SOCKET_MEND,
    "host": "A host is a plain host name; how to reach it stands in `ssh`.",
}
