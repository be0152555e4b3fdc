"""From the bytes of a roster to plain values, with the line of every key. YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fleet.roster.file import whole
from fleet.roster.problem import Problem, RosterError

DEPTH_LIMIT = 32  # a roster is four levels deep; libyaml recurses in C and would take the process down
NODE_LIMIT = 200_000  # aliases can make a small file describe a giant tree

KeyPath = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The top mapping, and for each path of keys the line (from 1) where that key stands."""

    values: dict[str, Any]
    lines: Mapping[KeyPath, int]


def show_path(path: KeyPath) -> str:
    """``("agents", 2, "name")`` as ``agents[2].name``."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += f".{part}" if shown else part
    return shown


def parse(data: bytes, path: Path) -> Parsed:
    """Decode and parse. Raises RosterError for a wrong encoding, broken YAML or JSON, a key given twice,
    nesting deeper than a roster needs, or anything that is not a mapping at the top."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise RosterError(
            [Problem(path, line, "", "the text is not UTF-8", "Save the file as UTF-8.")]
        ) from None
    if text.lstrip().startswith("{"):
        text = _plain_json(text, path)
    try:
        node, values = _compose(text, path)
    except yaml.YAMLError as problem:
        raise RosterError([_yaml_problem(path, problem)]) from None
    except (ValueError, RecursionError) as problem:  # a date like 2026-13-45, an anchor inside itself
        raise whole(path, f"a value cannot be read ({problem})", "Put such values in quotes.") from None
    if node is None or values is None:
        raise whole(path, "the file is empty", "Make one with `mosaic init`.")
    if not isinstance(values, dict):
        raise whole(path, "the top is not a mapping", "It begins with `version: 1`.")
    lines: dict[KeyPath, int] = {}
    doubles: list[Problem] = []
    _walk(node, (), lines, doubles, path, [0])
    if doubles:
        raise RosterError(doubles)
    return Parsed(values, lines)


def _compose(text: str, path: Path) -> tuple[yaml.Node | None, Any]:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise RosterError([Problem(path, line, "", "nested too deep", "A roster has four levels.")])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        if node is None:
            return None, None
        _walk(node, (), {}, [], path, [0])  # limits first: building the values follows aliases too
        return node, loader.construct_document(node)
    finally:
        loader.dispose()


def _plain_json(text: str, path: Path) -> str:
    """JSON is YAML but for tabs between tokens; a broken one gets the message of the JSON parser."""
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        if text.lstrip().startswith('{"'):
            raise RosterError(
                [Problem(path, problem.lineno, "", f"broken JSON ({problem.msg})", "Mend it there.")]
            ) from None
        return text  # a YAML flow mapping
    except RecursionError:
        raise whole(path, "nested too deep", "A roster has four levels.") from None
    return text.replace("\t", " ")  # inside a JSON string a raw tab is not allowed, so none is lost


def _walk(
    node: yaml.Node,
    at: KeyPath,
    lines: dict[KeyPath, int],
    doubles: list[Problem],
    path: Path,
    count: list[int],
) -> None:
    count[0] += 1
    if count[0] > NODE_LIMIT or len(at) > DEPTH_LIMIT:
        raise whole(path, "the file describes far more than it holds", "Take out its aliases (`*name`).")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*at, key)
            line = key_node.start_mark.line + 1
            if key in seen and key != "<<":
                doubles.append(Problem(path, line, show_path(here), "is given twice", "Keep one of them."))
            seen.add(key)
            lines.setdefault(here, line)
            _walk(value_node, here, lines, doubles, path, count)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*at, index)
            lines.setdefault(here, item.start_mark.line + 1)
            _walk(item, here, lines, doubles, path, count)


def _yaml_problem(path: Path, problem: yaml.YAMLError) -> Problem:
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    text = getattr(problem, "problem", None) or "not readable as YAML"
    mend = "Indent with spaces, put values with a colon or a brace in quotes."
    return Problem(path, mark.line + 1 if mark else None, "", f"broken YAML ({text})", mend)
