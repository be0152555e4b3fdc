"""From the configuration's text to plain values, and from its mistakes to words a person can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fleet.roster.problem import RosterError, did_you_mean
from fleet.roster.text import Parsed, parse, show_path

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRETS = frozenset({"password", "token"})
_EXAMPLE = "config.example.yaml shows every key."
_KINDS = {
    "missing": "is missing",
    "bool_parsing": "is not true or false",
    "bool_type": "is not true or false",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "tuple_type": "is not a list",
    "list_type": "is not a list",
    "string_type": "is not text",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "greater_than": "is not above 0",
    "string_pattern_mismatch": "has characters that are not allowed here",
}


class ConfigError(Exception):
    """The configuration cannot be used; ``str()`` is one paragraph: file, key, what is wrong, the mend."""


def read_yaml(path: Path) -> Parsed:
    """Values and lines of the file. Raises ConfigError (missing, unreadable, broken, not a mapping)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {path}. Make one with `mosaic init --local-only`, or copy "
            "config.example.yaml there."
        ) from None
    except OSError as problem:
        raise ConfigError(
            f"The configuration {path} cannot be read ({problem.strerror}). Mend its owner and mode."
        ) from None
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in data.splitlines()):
        return Parsed({}, {})
    try:
        return parse(data, path)
    except RosterError as bad:
        said = [
            f"line {p.line}: {p.key + ' ' if p.key else ''}{p.text}. {p.mend}"
            if p.line
            else f"{p.text}. {_EXAMPLE}"
            for p in bad.problems
        ]
        raise ConfigError(f"The configuration {path} cannot be used: {' '.join(said)}") from None


def expand(values: dict[str, Any], env: Mapping[str, str], path: Path, parsed: Parsed) -> dict[str, Any]:
    """`${NAME}` in every text replaced from ``env``; empty keys left out. Raises ConfigError if unset."""

    def inside(value: Any, at: tuple[str | int, ...]) -> Any:
        if isinstance(value, dict):
            return {str(k): inside(v, (*at, str(k))) for k, v in value.items() if v is not None}
        if isinstance(value, list):
            return [inside(v, (*at, n)) for n, v in enumerate(value)]
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: fetch(found[1], at), value)
        return value

    def fetch(name: str, at: tuple[str | int, ...]) -> str:
        if name not in env:
            raise ConfigError(
                f"The configuration {path} cannot be used: {_line(parsed, at)}{show_path(at)}: "
                f"the environment has no {name}. Set it, or use a file."
            )
        return env[name]

    shown: dict[str, Any] = inside(values, ())
    return shown


def paragraph_of(path: Path, bad: ValidationError, parsed: Parsed, root: type[BaseModel]) -> str:
    """Every mistake that pydantic found, each with its line, key and mend."""
    errors = bad.errors(include_url=False)
    said = [_one(error, parsed, root) for error in errors[:8]]
    if len(said) == 1:
        return f"The configuration {path} cannot be used: {said[0]}"
    numbered = " ".join(f"({n}) {text}" for n, text in enumerate(said, 1))
    more = f" And {len(errors) - 8} more." if len(errors) > 8 else ""
    return f"The configuration {path} cannot be used, {len(errors)} mistakes: {numbered}{more}"


def _one(error: ErrorDetails, parsed: Parsed, root: type[BaseModel]) -> str:
    at: tuple[str | int, ...] = tuple(part for part in error["loc"] if part != "[key]")
    key = show_path(at)
    place = f"{_line(parsed, at)}{key}: " if key else ""
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{place}is not a key here. {did_you_mean(str(at[-1]), known_keys(root, at[:-1]))}"
    if kind == "literal_error":
        words = tuple(re.findall(r"'([^']*)'", str((error.get("ctx") or {}).get("expected", ""))))
        given = str(error["input"])
        return f"{place}`{given}` is not one of {', '.join(words)}. {did_you_mean(given, words)}"
    if kind == "value_error":
        return f"{place}{str(error['msg']).removeprefix('Value error, ')}"
    if kind == "missing":
        return f"{place}is missing. Add `{at[-1]}:`."
    secret = bool(at) and str(at[-1]) in _SECRETS
    shown = "" if secret or isinstance(error["input"], dict | list) else f"`{error['input']}` "
    return f"{place}{shown}{_KINDS.get(kind, error['msg'])}. {_EXAMPLE}"


def known_keys(root: type[BaseModel], at: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that may stand at a place below ``root``."""
    kind: Any = root
    for part in at:
        fields = getattr(kind, "model_fields", {})
        if str(part) in fields:
            kind = _inner(fields[str(part)].annotation)
    fields = getattr(kind, "model_fields", {})
    return tuple(field.alias or name for name, field in fields.items())


def _inner(annotation: Any) -> Any:
    """The model inside `X | None`, `dict[str, X]`, `tuple[X, ...]`."""
    found = [one for one in get_args(annotation) if hasattr(one, "model_fields")]
    return found[0] if found else annotation


def no_secret(values: Any) -> Any:
    """The same values with every secret that stands in the file itself replaced by `(hidden)`."""
    if isinstance(values, dict):
        return {k: "(hidden)" if k in _SECRETS and v else no_secret(v) for k, v in values.items()}
    return [no_secret(v) for v in values] if isinstance(values, list) else values


def unreadable(file: Path, key: str, problem: Exception) -> str:
    """A secret file that cannot be read, in words."""
    why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return f"The secret {file} ({key}) cannot be read: {why}. Mend the path, or its owner and mode."


def _line(parsed: Parsed, at: tuple[str | int, ...]) -> str:
    while at:
        if at in parsed.lines:
            return f"line {parsed.lines[at]}: "
        at = at[:-1]
    return ""
