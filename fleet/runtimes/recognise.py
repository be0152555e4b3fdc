"""Which agent program a process is, told by its command line, its file and its name. Pure.

The words of a wrapper's command line (`bash -lc 'claude …'`) prove nothing; what counts is the program
file, the process' own name, or the script that an interpreter was started on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import PurePosixPath

Recogniser = Callable[[list[str], str | None, str | None], str | None]

LAUNCHER = "launcher"  # our own launcher, which becomes the program in a moment: neither it nor drift

_INTERPRETER = re.compile(r"(node|nodejs|bun|deno|python[\d.]*|bash|sh|dash|zsh|ksh|perl|ruby|tsx)")
_SHELL = re.compile(r"(bash|sh|dash|zsh|ksh)")
_FILES = (  # part of the path of the program or of its script → runtime
    ("/claude-code/", "claude"),
    ("/claude/versions/", "claude"),
    ("/@openai/codex", "codex"),
    ("/codex-linux-", "codex"),
    ("/pi-coding-agent/", "pi"),
    ("/opencode-ai/", "opencode"),
)
_NAMES = {
    "claude": "claude",
    "claude.exe": "claude",
    "codex": "codex",
    "codex.js": "codex",
    "pi": "pi",
    "pi-coding-agent": "pi",
    "opencode": "opencode",
    "opencode.exe": "opencode",
    "stub-agent": "stub",
    "mosaic": LAUNCHER,
}


def recognise(argv: list[str], exe: str | None = None, comm: str | None = None) -> str | None:
    """claude, codex, pi, opencode, stub, or LAUNCHER; None for any other process."""
    for path in _programs(argv, exe):
        for part, runtime in _FILES:
            if part in path:
                return runtime
        name = PurePosixPath(path).name
        if name in _NAMES:
            return _NAMES[name]
    if comm in _NAMES and not (comm == "pi" and exe and not _hosts_pi(exe)):
        return _NAMES[comm]
    return None


def recogniser_for(runtime: str, command: str | None) -> Recogniser:
    """The recogniser for one agent: the known programs, and for ``custom`` the base name of the first
    word of its command."""
    word = custom_word(command) if runtime == "custom" else None
    if word is None:
        return recognise

    def custom(argv: list[str], exe: str | None, comm: str | None) -> str | None:
        names = {PurePosixPath(path).name for path in _programs(argv, exe)}
        if argv:
            names.add(PurePosixPath(argv[0].lstrip("-")).name)
        if word in names or comm == word[:15]:  # the kernel keeps 15 bytes of the name
            return "custom"
        return recognise(argv, exe, comm)

    return custom


def custom_word(command: str | None) -> str | None:
    """The base name of the program that a command runs, past `VAR=value` and `exec`, or None."""
    try:
        words = shlex.split(command or "")
    except ValueError:
        words = (command or "").split()
    for word in words:
        if re.fullmatch(r"[A-Za-z_]\w*=.*", word) or word in {"exec", "env"}:
            continue
        return PurePosixPath(word).name or None
    return None


def _programs(argv: list[str], exe: str | None) -> list[str]:
    """Paths that say what runs: the file, the first word, and the script of an interpreter."""
    first = argv[0].lstrip("-") if argv else ""
    paths = [path for path in (exe, first) if path]
    hosts = any(_INTERPRETER.fullmatch(PurePosixPath(path).name) for path in paths)
    script = _script(argv) if hosts else None
    return [*([script] if script else []), *paths]


def _script(argv: list[str]) -> str | None:
    shell = bool(argv and _SHELL.fullmatch(PurePosixPath(argv[0].lstrip("-")).name))
    for word in argv[1:]:
        if not word.startswith("-"):
            return word
        if shell or word in {"-c", "-e", "-m", "-p", "--eval", "--print"}:
            return None
    return None


def _hosts_pi(exe: str) -> bool:
    name = PurePosixPath(exe).name
    return name == "pi" or bool(re.fullmatch(r"node|nodejs|bun", name))
