"""`comms-block`: how a role reaches its peers and people, with the exact commands."""

from __future__ import annotations

from typing import Any

from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from bot.document import Code, Document
from fleet.host.name import this_host
from fleet.launch.comms import CommsMiss
from fleet.launch.comms import comms_block as block_of

_PREFIX = "[mosaic] comms-block: "  # scripts look for it on stderr (COM-06)


async def comms_block(context: Context, args: dict[str, Any]) -> Document:
    """The block, or one line on stderr, an empty stdout and exit 1."""
    role = str(args.get("name") or "").removeprefix("=")
    path = context.home.roster
    if role and not path.exists():
        raise CommandFailed(f"{_PREFIX}no fleet roster at {path}", 1)
    try:
        if not role:
            raise CommsMiss("comms-block requires a <role> argument")
        roster = await context.roster()
        own = roster.get(role)
        view = args.get("host") or (own.host if own else None) or this_host()
        text = block_of(roster, role, host=view, send=str(context.home.send_tool), path=str(path))
    except CommsMiss as miss:
        raise CommandFailed(f"{_PREFIX}{miss}", 1) from miss
    return Document((Code(text, "markdown"),), {"role": role, "block": text})
