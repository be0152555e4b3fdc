"""Looking at the fleet: ps, explain, status, profiles."""

from __future__ import annotations

import asyncio
from typing import Any

from bot.commands.agents import row_of
from bot.commands.context import Context
from bot.commands.ps_view import counts_of, footer_of, table_of
from bot.document import Block, Bullets, Code, Column, Document, Footer, Heading, Pairs, Table, Text, Tone
from fleet.files import is_locked
from fleet.model import AgentRow, Snapshot
from fleet.observe.explain import explain as explain_lines
from fleet.observe.json import compat_json, snapshot_json


async def ps(context: Context, args: dict[str, Any]) -> Document:
    """One joined table. On the default tmux socket, which is the person's own, chat only counts others."""
    snapshot = await context.snapshot()
    rows = [row for row in snapshot.agents if _wanted(row, args)]
    whole: dict[str, Any] | list[Any]
    chosen = Snapshot(snapshot.ts, snapshot.hosts, tuple(rows), snapshot.paused)
    whole = compat_json(chosen) if args.get("json") == "compat" else snapshot_json(chosen)
    foreign = [row for row in rows if not row.managed and row.socket == ""]
    if context.caller.surface != "cli":
        rows = [row for row in rows if row not in foreign]
    blocks: list[Block] = []
    if not rows:
        filtered = any(args.get(key) for key in ("class", "readiness", "host", "tenant"))
        text = "No agent fits the filter." if filtered else "The roster has no agents yet."
        blocks.append(Text(text, Tone.DIM))
    elif args.get("wide") and context.caller.surface != "cli":
        blocks.append(Code("\n".join(_wide_lines(rows))))
    else:
        blocks.append(table_of(rows, wide=bool(args.get("wide"))))
    foot = footer_of(snapshot, sum(row.managed for row in rows))
    if foreign and context.caller.surface != "cli":
        foot += f" · {len(foreign)} other sessions"
    blocks.append(Footer(foot))
    return Document(tuple(blocks), whole)


def _wide_lines(rows: list[AgentRow]) -> list[str]:
    from bot.render.plain import table_lines

    return table_lines(table_of(rows, wide=True))


def _wanted(row: AgentRow, args: dict[str, Any]) -> bool:
    asked = (
        (args.get("class"), row.agent_class),
        (args.get("readiness"), str(row.readiness)),
        (args.get("host"), row.host),
        (args.get("tenant"), row.tenant_id),
    )
    return all(wanted in (None, has) for wanted, has in asked)


async def explain(context: Context, args: dict[str, Any]) -> Document:
    """Evidence, its age, and what it led to."""
    row = await row_of(context, str(args["name"]).removeprefix("="))
    lines = explain_lines(row)
    return Document((Heading(lines[0]), Bullets(tuple(lines[1:]))), {"name": row.name, "lines": lines})


async def status(context: Context, args: dict[str, Any]) -> Document:
    """The fleet in a few lines."""
    snapshot, roster = await context.snapshot(), await context.roster()
    node = await asyncio.to_thread(is_locked, context.home.node_lock)
    pairs = (
        ("fleet", counts_of(snapshot.agents)),
        ("node", "runs" if node else "does not run: messages wait in their mailboxes"),
        ("dispatch", "as usual" if snapshot.paused is None else f"PAUSED {snapshot.paused}".strip()),
        ("socket", roster.socket or "the default tmux socket"),
        ("home", str(context.home.root)),
    )
    data = {
        "counts": _counts(snapshot),
        "node": node,
        "paused": snapshot.paused is not None,
        "socket": roster.socket,
        "home": str(context.home.root),
    }
    return Document((Pairs(pairs), Footer(footer_of(snapshot, len(roster.agents)))), data)


def _counts(snapshot: Snapshot) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in snapshot.agents:
        if row.managed:
            counts[str(row.readiness)] = counts.get(str(row.readiness), 0) + 1
    return counts


async def profiles(context: Context, args: dict[str, Any]) -> Document:
    """The rosters that come along, each with its first comment line."""
    found = await asyncio.to_thread(_profiles)
    if not found:
        return Document.failure("No profiles came with this installation. Install it again.")
    table = Table(
        (Column("name", "PROFILE"), Column("about", "WHAT")),
        tuple(found),
        tuple(line for name, about in found for line in (name, f"  {about}"[:32])),
    )
    return Document((table,), {"profiles": [{"name": name, "about": about} for name, about in found]})


def _profiles() -> list[tuple[str, str]]:
    from framework.seed import package

    folder = package() / "fleet" / "examples"
    if not folder.is_dir():
        return []
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        stem, dot, ending = entry.name.rpartition(".")
        if dot and ending in {"yaml", "yml"}:
            first = entry.read_text("utf-8").lstrip().partition("\n")[0]
            found.append((stem, first.removeprefix("#").strip() if first.startswith("#") else ""))
    return found
