"""`mosaic`: the terminal surface. Finds out who is meant (a command, a program, a runtime) and hands over.

Imports stay inside the branches: `mosaic fleet ps` must not pay for the bot.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from fleet.home import Home

PROGRAMS = ("bot", "node", "chat", "init", "config", "compose-contract")
RUNTIMES = ("yolo", "claude", "codex", "pi", "opencode", "stub", "custom")
HELP = ("-h", "--help")
INTERRUPTED = 130
USAGE = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one call; returns its exit code (06-interfaces). Never lets a traceback reach the user."""
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; the interpreter must not flush into the closed pipe.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _main(argv: list[str]) -> int:
    given, words = take_home(argv)
    if given == "":
        return _refuse("--mosaic-home needs a folder after it.")
    home = Home.resolve(given)
    head = words[0] if words else ""
    if head in PROGRAMS:
        from bot.cli_programs import run_program_of

        return run_program_of(words, home)
    if head in RUNTIMES:
        from fleet.launch.runtime import runtime_main

        return runtime_main(words, home)
    if head in ("--version", "-V"):
        words = ["version"]
    from bot.cli_run import run_words

    return run_words(words, home)


def take_home(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """`--mosaic-home DIR` may stand anywhere before a bare `--`. Empty when its value is missing."""
    words: list[str] = []
    given: str | None = None
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return given, [*words, word, *rest]
        if word == "--mosaic-home":
            given = rest.pop(0) if rest else ""
        elif word.startswith("--mosaic-home="):
            given = word.partition("=")[2]
        else:
            words.append(word)
    return given, words


def _refuse(text: str) -> int:
    sys.stderr.write(f"mosaic: {text}\n")
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
