"""The short ones: ping, version, whoami, status."""

from __future__ import annotations

import os
from importlib import metadata
from typing import TYPE_CHECKING, Any

from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from bot.commands.ps_view import counts_of, footer_of
from bot.commands.when import age, local
from bot.document import Document, Footer, Pairs
from bot.roles import Role

if TYPE_CHECKING:
    from bot.services import Services

BOT_DOWN = 6


def services_of(context: Context) -> Services:
    """The running bot. Raises CommandFailed where there is none."""
    if context.services is None:
        raise CommandFailed(
            "This needs the bot, which does not run. Start it with `mosaic bot run`.", BOT_DOWN
        )
    return context.services


async def ping(context: Context, args: dict[str, Any]) -> Document:
    return Document.line("pong")


async def version(context: Context, args: dict[str, Any]) -> Document:
    number = metadata.version("mosaic-fleet")
    return Document.line(f"Mosaic Fleet {number}", data={"version": number})


async def whoami(context: Context, args: dict[str, Any]) -> Document:
    """The exact id, and what it allows here."""
    caller = context.caller
    role = caller.role.name.lower()
    if caller.agent:
        role = "agent: reads and sends"
    talk = caller.agent is None and caller.role >= Role.OPERATOR
    pairs = [("you", caller.label), ("role", role), ("talk", "yes" if talk else "no")]
    if caller.room:
        pairs.append(("room", caller.room))
    return Document(
        (Pairs(tuple(pairs)),), {"who": caller.label, "role": role, "talk": talk, "room": caller.room}
    )


async def status(context: Context, args: dict[str, Any]) -> Document:
    """The bot itself."""
    services = services_of(context)
    snapshot = await context.snapshot()
    backlog = await services.outbox_backlog()
    now = context.now()
    pairs = [("up", f"{age(now - services.started_at)}, pid {os.getpid()}")]
    networks = {}
    for one in services.status():
        state = one.status.state.value
        detail = f": {one.status.detail}" if one.status.detail else ""
        queued = backlog.get(one.name, 0)
        waits = f", {queued} posts wait" if queued else ""
        pairs.append((one.name, f"{state} for {age(now - one.status.since)}{detail}{waits}"))
        networks[one.name] = {"state": state, "since": one.status.since.isoformat(), "waiting": queued}
    size = context.home.register.stat().st_size if context.home.register.exists() else 0
    pairs += [("register", f"{size / 1_048_576:.1f} MB"), ("fleet", counts_of(snapshot.agents))]
    data = {
        "started_at": services.started_at.isoformat(),
        "pid": os.getpid(),
        "networks": networks,
        "register_bytes": size,
    }
    foot = Footer(
        f"{footer_of(snapshot, sum(r.managed for r in snapshot.agents))} · since {local(services.started_at)}"
    )
    return Document((Pairs(tuple(pairs)), foot), data)
