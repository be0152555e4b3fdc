"""One spelling for every key: camel to snake, `x-…` left out, unknown keys named. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleet.roster import words
from fleet.roster.problem import Problem, did_you_mean
from fleet.roster.text import KeyPath, Parsed, show_path


def normalise(parsed: Parsed, file: Path) -> tuple[dict[str, Any], list[Problem]]:
    """The raw values with every known key in its snake form, and the mistakes in the keys.

    Nulls are left out, because an empty key says nothing. Values are not judged here.
    """
    problems: list[Problem] = []
    top = _keys(parsed.values, words.TOP_KEYS, (), parsed, file, problems)
    for name, known in (("tmux", words.TMUX_KEYS), ("defaults", words.DEFAULTS_KEYS)):
        if isinstance(top.get(name), dict):
            top[name] = _keys(top[name], known, (name,), parsed, file, problems)
    if isinstance(top.get("runtimes"), dict):
        table = _keys(top["runtimes"], words.RUNTIMES, ("runtimes",), parsed, file, problems)
        for name, value in table.items():
            if isinstance(value, dict):
                at = ("runtimes", name)
                table[name] = _keys(value, words.RUNTIME_KEYS, at, parsed, file, problems)
        top["runtimes"] = table
    if isinstance(top.get("agents"), list):
        top["agents"] = [
            _keys(item, words.AGENT_KEYS, ("agents", index), parsed, file, problems)
            if isinstance(item, dict)
            else item
            for index, item in enumerate(top["agents"])
        ]
    return top, problems


def line_of(parsed: Parsed, path: KeyPath) -> int | None:
    """The line of that key (snake path), in whichever spelling it stands there; else of its parent."""
    at = path
    while at:
        for form in (at, (*at[:-1], words.camel(str(at[-1])))):
            if form in parsed.lines:
                return parsed.lines[form]
        at = at[:-1]
    return None


def _keys(
    given: dict[Any, Any],
    known: tuple[str, ...],
    at: KeyPath,
    parsed: Parsed,
    file: Path,
    problems: list[Problem],
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in given.items():
        word = str(key)
        if word.startswith("x-"):
            continue
        here = (*at, word)
        name = words.snake_of(word, known)
        if name is None:
            mend = did_you_mean(word, known) + " Keys of your own begin with `x-`."
            problems.append(
                Problem(file, parsed.lines.get(here), show_path(here), "is not a key of a roster", mend)
            )
        elif name in kept:
            text = f"stands there in both spellings (`{name}`, `{words.camel(name)}`)"
            problems.append(Problem(file, parsed.lines.get(here), show_path(here), text, "Keep one of them."))
        elif value is not None:
            kept[name] = value
    return kept
