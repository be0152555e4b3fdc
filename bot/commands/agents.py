"""Which agent a word names: exactly, never by prefix, never by alias."""

from __future__ import annotations

import difflib
from typing import Any

from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from fleet.host.name import is_here, this_host
from fleet.model import AgentDef, AgentRow, Roster


async def named(context: Context, args: dict[str, Any]) -> tuple[Roster, AgentDef]:
    """The agent of ``args["name"]``. Raises CommandFailed with a did-you-mean."""
    roster = await context.roster()
    return roster, one_of(roster, str(args["name"]).removeprefix("="))


def one_of(roster: Roster, name: str) -> AgentDef:
    """Raises CommandFailed when the roster has no agent of exactly this name."""
    agent = roster.get(name)
    if agent is not None:
        return agent
    by_alias = next((a.name for a in roster.agents if a.alias and a.alias.lower() == name.lower()), None)
    near = by_alias or next(iter(difflib.get_close_matches(name, [a.name for a in roster.agents], n=1)), None)
    hint = f" Did you mean `{near}`?" if near else " `agent roster` lists them."
    raise CommandFailed(f"No agent `{name}` in the roster.{hint}", 1)


async def row_of(context: Context, name: str) -> AgentRow:
    """The row of `fleet ps` of this agent or unmanaged session. Raises CommandFailed."""
    snapshot = await context.snapshot()
    row = next((r for r in snapshot.agents if r.name == name), None)
    if row is None:
        one_of(await context.roster(), name)
        raise CommandFailed(f"Nothing is known of `{name}` yet. Try again in a moment.", 1)
    return row


def require_here(agent: AgentDef) -> None:
    """Raises CommandFailed for an agent of another host: this version reaches only its own."""
    if not is_here(agent.host, this_host()):
        raise CommandFailed(
            f"`{agent.name}` lives on {agent.host}; this version reaches only agents of {this_host()}. "
            f"Run the command there.",
            1,
        )
