"""What a command declaration is, and how words become its arguments (by click, on every surface).

A declaration is cheap data; its handler is named as a string and imported when it runs, so that
`mosaic fleet ps` loads one group only.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bot.roles import Role

if TYPE_CHECKING:
    from bot.commands.context import Context
    from bot.document import Document


class Effect(StrEnum):
    """READ may run again after a crash; ACT is at most once; DANGEROUS asks first."""

    READ = "read"
    ACT = "act"
    DANGEROUS = "dangerous"


class Needs(StrEnum):
    """FLEET works from files and tmux alone; BOT needs the running bot (register, chat)."""

    FLEET = "fleet"
    BOT = "bot"


class Kind(StrEnum):
    WORD = "word"
    REST = "rest"  # everything that follows, joined by spaces
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"
    AGENT = "agent"  # completes agent names
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Param:
    """One argument. ``option`` makes it ``--name``; else it is positional in the order of declaration."""

    name: str
    kind: Kind = Kind.WORD
    help: str = ""
    required: bool = True
    option: bool = False
    short: str | None = None
    choices: tuple[str, ...] = ()
    default: Any = None


def flag(name: str, help: str) -> Param:
    """``--name``, there or not."""
    return Param(name, Kind.FLAG, help, required=False, option=True)


def option(
    name: str,
    help: str,
    kind: Kind = Kind.WORD,
    short: str | None = None,
    *,
    choices: tuple[str, ...] = (),
    default: Any = None,
) -> Param:
    """``--name VALUE``, never required."""
    return Param(name, kind, help, False, True, short, choices, default)


@dataclass(frozen=True, slots=True)
class Command:
    """One declaration, for chat, CLI, local surface and (later) Discord slash commands alike."""

    path: tuple[str, ...]  # ("fleet", "ps"); short ones have one word
    summary: str
    handler: str  # "bot.commands.fleet:ps"
    plan: str | None = None  # what it would do, as a Plan; every DANGEROUS one has it
    role: Role = Role.VIEWER
    effect: Effect = Effect.READ
    needs: Needs = Needs.BOT
    params: tuple[Param, ...] = ()
    examples: tuple[str, ...] = ()  # without prefix: "fleet ps --class code"
    aliases: tuple[tuple[str, ...], ...] = ()
    chat: bool = True  # False: terminal only
    hidden: bool = False  # not in the overview (it has a better known twin)

    @property
    def name(self) -> str:
        return " ".join(self.path)


Handler = Callable[["Context", dict[str, Any]], Awaitable["Document"]]


def load_handler(command: Command) -> Handler:
    """Import the named function."""
    loaded: Handler = load_named(command.handler)
    return loaded


def load_named(name: str) -> Any:
    """`module:function` → the function."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


class UsageError(Exception):
    """The words do not fit the command; the text is one line, ``usage`` the command's usage line."""

    def __init__(self, text: str, usage: str = "") -> None:
        super().__init__(text)
        self.usage = usage


class HelpWanted(Exception):
    """`-h` stood among the words."""


def parse(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """Words after the command's path → its arguments by name. Raises UsageError or HelpWanted.

    Every command takes ``--json``; every acting one takes ``--dry-run`` and ``--yes``.
    """
    given = _settled(words)
    values = _bare(command, given) if not given or given == ["--json=full"] else _parsed(command, given)
    if values.pop("help", False):
        raise HelpWanted
    for param in command.params:
        if param.required and values.get(param.name) in (None, ""):
            raise UsageError(f"missing {param.name}", usage(command))
        if param.kind is Kind.REST and isinstance(values.get(param.name), tuple):
            values[param.name] = " ".join(values[param.name])
    return values


def _bare(command: Command, given: Sequence[str]) -> dict[str, Any]:
    """The values of a call without arguments: what most calls are, and click takes 50 ms to load."""
    values = {p.name: (False if p.kind is Kind.FLAG else p.default) for p in command.params}
    values |= {p.name: () for p in command.params if p.kind is Kind.REST and not p.option}
    values["json"] = "full" if given else None
    return values if command.effect is Effect.READ else {**values, "dry_run": False, "yes": False}


def _parsed(command: Command, given: Sequence[str]) -> dict[str, Any]:
    import click

    built = _click(command)
    try:
        # standalone machinery of click (printing, exiting) is not used: only its parser
        context = built.make_context(command.name, list(given))
    except click.UsageError as problem:
        text = " ".join(problem.format_message().split())
        raise UsageError(text[:1].lower() + text[1:], usage(command)) from problem
    return dict(context.params)


def usage(command: Command) -> str:
    """One usage line, without prefix."""
    parts = [command.name]
    for p in command.params:
        shown = p.name.replace("_", "-")
        if p.option:
            value = "" if p.kind is Kind.FLAG else f" {p.name.upper()}"
            parts.append(f"[--{shown}{value}]")
        else:
            word = f"{shown}…" if p.kind is Kind.REST else shown
            parts.append(f"<{word}>" if p.required else f"[{word}]")
    return " ".join(parts)


def _settled(words: Sequence[str]) -> list[str]:
    """`--json` alone takes no word after it (its value stands behind `=`); what follows `--` is text."""
    given = list(words)
    end = given.index("--") if "--" in given else len(given)
    return [("--json=full" if word == "--json" and n < end else word) for n, word in enumerate(given)]


def _click(command: Command) -> Any:
    import click

    declared: list[click.Parameter] = [click.Option(["-h", "--help", "help"], is_flag=True, is_eager=True)]
    for p in command.params:
        if p.option:
            flags = [f"--{p.name.replace('_', '-')}", p.name]
            if p.short:
                flags.insert(0, f"-{p.short}")
            if p.kind is Kind.FLAG:
                declared.append(click.Option(flags, is_flag=True, default=False))
            else:
                declared.append(click.Option(flags, type=_type(p), default=p.default))
        elif p.kind is Kind.REST:
            declared.append(click.Argument([p.name], nargs=-1, type=click.STRING, required=False))
        else:
            declared.append(click.Argument([p.name], type=_type(p), required=False, default=p.default))
    declared.append(click.Option(["--json", "json"], type=click.Choice(["full", "compat"]), default=None))
    if command.effect is not Effect.READ:
        declared.append(click.Option(["--dry-run", "dry_run"], is_flag=True))
        declared.append(click.Option(["--yes", "yes"], is_flag=True))
    return click.Command(command.name, params=declared, add_help_option=False)


def _type(p: Param) -> Any:
    import click

    if p.kind is Kind.NUMBER:
        return click.FLOAT if isinstance(p.default, float) else click.INT
    if p.kind is Kind.CHOICE:
        return click.Choice(p.choices)
    return click.STRING
