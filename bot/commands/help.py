"""What can be said, and how: only what the reader may run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bot.access import agent_may
from bot.commands.catalog import CATALOG, GROUPS
from bot.commands.context import Caller, Context
from bot.commands.find import Found, Overview, Unknown, find, of_group, verbs_of
from bot.commands.registry import Command, Effect, Kind, usage
from bot.document import Block, Bullets, Code, Document, Footer, Heading, Pairs, Text, Tone


async def help_command(context: Context, args: dict[str, Any]) -> Document:
    """`help [topic]`"""
    return help_for(str(args.get("topic") or "").split(), context.caller, context.prefix)


def help_for(topic: list[str], caller: Caller, prefix: str) -> Document:
    """The overview, a group, one command, or a hint."""
    looked = find(topic)
    match looked:
        case Overview(None):
            return overview(caller, prefix)
        case Overview(group) if group is not None:
            return of(group, caller, prefix)
        case Found(command):
            return about(command, prefix)
        case Unknown():
            return unknown(looked, prefix)
    return overview(caller, prefix)


def allowed(caller: Caller, command: Command) -> bool:
    """By role alone, for lists; what decides is the dispatcher."""
    if caller.surface != "cli" and not command.chat:
        return False
    return agent_may(None, command) if caller.agent else caller.role >= command.role


def overview(caller: Caller, prefix: str) -> Document:
    """At most 15 lines: every group with its verbs, and the short ones."""
    lines = []
    for group in GROUPS:
        verbs = [c.path[1] for c in of_group(group) if allowed(caller, c) and not c.hidden]
        if verbs:
            lines.append((group, " ".join(verbs)))
    short = [c.path[0] for c in CATALOG if len(c.path) == 1 and allowed(caller, c) and not c.hidden]
    blocks: list[Block] = [Heading("What you can say"), Pairs((*lines, ("short", " ".join(short))))]
    if caller.surface != "cli":
        blocks.append(
            Text("@name words: to an agent. Plain words in a conversation room: to the orchestrator.")
        )
    blocks.append(Footer(f"{prefix}help fleet ps: one command · {prefix}fleet -h: one group"))
    return Document(tuple(blocks), {"groups": dict(lines), "short": short})


def of(group: str, caller: Caller, prefix: str) -> Document:
    """One group: a line for each verb that the reader may run."""
    mine = [c for c in of_group(group) if allowed(caller, c) and not c.hidden]
    items = tuple((c.path[1], c.summary) for c in mine)
    if not items:
        return Document.line(f"Nothing in {group} is for you here.", tone=Tone.DIM)
    head = Heading(f"{group}: {GROUPS[group]}")
    foot = Footer(f"{prefix}help {group} {items[0][0]}: one command")
    return Document((head, Pairs(items), foot), {"group": group, "commands": dict(items)})


def about(command: Command, prefix: str) -> Document:
    """Usage, what it does, its arguments, examples."""
    rights = f"{command.role.name.lower()} may run it"
    if command.effect is Effect.DANGEROUS:
        rights += "; it shows what it would do and asks first"
    blocks: list[Block] = [
        Code(f"{prefix}{usage(command)}"),
        Text(f"{command.summary[:1].upper()}{command.summary[1:]}."),
    ]
    shown = tuple((_name(p.name, p.option, p.kind), _what(p.help, p.choices)) for p in command.params)
    if shown:
        blocks.append(Pairs(shown))
    if command.examples:
        blocks.append(Bullets(tuple(f"`{prefix}{example}`" for example in command.examples[:2])))
    extra = "--json" if command.effect is Effect.READ else "--json, --dry-run, --yes"
    blocks.append(Footer(f"{rights} · also {extra}"))
    data = {"command": command.name, "usage": usage(command), "role": command.role.name.lower()}
    return Document(tuple(blocks), data)


def unknown(looked: Unknown, prefix: str) -> Document:
    """One line: what is not known, and the nearest that is."""
    where = f"{looked.group} " if looked.group else ""
    hint = f" Did you mean `{where}{looked.near}`?" if looked.near else ""
    if looked.group and not looked.near:
        hint = f" {looked.group} has: {', '.join(verbs_of(looked.group))}."
    group = f" {looked.group}" if looked.group else ""
    text = f"Unknown `{_short(looked.word)}`.{hint} `{prefix}help{group}`"
    return Document.failure(text, exit_code=3)


def _short(word: str) -> str:
    shown = "".join(char for char in word if char.isprintable() and char != "`")
    return shown if len(shown) <= 40 else shown[:39] + "…"


def _name(name: str, option: bool, kind: Kind) -> str:
    if not option:
        return name
    return f"--{name}" if kind is Kind.FLAG else f"--{name} {name.upper()}"


def _what(help: str, choices: Iterable[str]) -> str:
    listed = ", ".join(choices)
    return f"{help}: {listed}" if listed else help
