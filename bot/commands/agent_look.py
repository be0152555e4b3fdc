"""Looking at agents: tail, roster, status, names. Nothing here changes a pane."""

from __future__ import annotations

from typing import Any

from bot.commands.agents import named, one_of, require_here, row_of
from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from bot.commands.ps_view import footer_of, table_of
from bot.commands.redact import shown
from bot.document import Code, Column, Document, Footer, Table
from bot.render.cells import clip, pad
from fleet.host.tmux import Listing, Tmux

MOST_LINES = 2000


async def tail(context: Context, args: dict[str, Any]) -> Document:
    """The visible screen, and history above it where there is one."""
    lines = int(args["lines"])
    if not 1 <= lines <= MOST_LINES:
        raise CommandFailed(f"--lines is 1 to {MOST_LINES}, not {lines}.", 3)
    _, agent = await named(context, args)
    require_here(agent)
    tmux = Tmux(agent.socket)
    listing = await tmux.list_panes()
    pane = listing.of_session(agent.name)
    if pane is None:
        if listing.state is Listing.FAILED:
            raise CommandFailed(f"tmux did not answer for {agent.name}: {listing.problem}. Try again.", 1)
        raise CommandFailed(f"{agent.name} has no session. `fleet start {agent.name}` starts it.", 1)
    text = await tmux.capture(pane.pane_id, history=lines)
    if text is None:
        raise CommandFailed(f"The screen of {agent.name} could not be read. Try again.", 1)
    kept = shown(text).rstrip().splitlines()[-lines:]
    data = {"name": agent.name, "pane_id": pane.pane_id, "lines": kept}
    foot = Footer(f"{agent.shown_as} · {pane.pane_id}" + (" · its program has ended" if pane.dead else ""))
    return Document((Code("\n".join(kept) or "(the screen is empty)"), foot), data)


async def roster(context: Context, args: dict[str, Any]) -> Document:
    """What the roster says, before anything is asked of tmux."""
    fleet = await context.roster()
    rows = tuple(
        (a.name, a.alias or "-", a.agent_class, a.runtime, a.host or "here", a.socket or "default")
        for a in fleet.agents
    )
    titles = ("NAME", "ALIAS", "CLASS", "RUNTIME", "HOST", "SOCKET")
    narrow = tuple(f"{pad(a.name, 14)} {clip(f'{a.agent_class}, {a.runtime}', 17)}" for a in fleet.agents)
    data = [
        {"name": a.name, "alias": a.alias, "class": a.agent_class, "runtime": a.runtime, "host": a.host}
        for a in fleet.agents
    ]
    table = Table(tuple(Column(title.lower(), title) for title in titles), rows, narrow)
    return Document((table, Footer(f"{len(rows)} agents · tenant {fleet.tenant_id}")), {"agents": data})


async def names(context: Context, args: dict[str, Any]) -> Document:
    """One name a line, for scripts."""
    found = [agent.name for agent in (await context.roster()).agents]
    return Document((Code("\n".join(found)),), {"agents": found})


async def status(context: Context, args: dict[str, Any]) -> Document:
    """`fleet ps` of one agent, or of all."""
    from fleet.observe.json import snapshot_json

    snapshot = await context.snapshot()
    rows = [row for row in snapshot.agents if row.managed]
    if args.get("name"):
        name = str(args["name"]).removeprefix("=")
        one_of(await context.roster(), name)
        rows = [await row_of(context, name)]
    keep = {row.name for row in rows}
    data = [row for row in snapshot_json(snapshot)["agents"] if row["name"] in keep and row["managed"]]
    return Document((table_of(rows, wide=False), Footer(footer_of(snapshot, len(rows)))), {"agents": data})
