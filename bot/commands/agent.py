"""Words and keys for agents: send, broadcast, stop-turn, reset. All of it goes through their mailboxes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.commands.agents import named, require_here
from bot.commands.context import Context, Plan
from bot.commands.failures import CommandFailed
from bot.document import Bullets, Code, Document, Heading, Text, Tone
from fleet.files import is_locked
from fleet.host.name import is_here, this_host
from fleet.host.tmux import Tmux
from fleet.messages import mailbox, spool
from fleet.messages.envelope import EnvelopeError
from fleet.messages.ids import new_id
from fleet.model import AgentDef, Envelope, MessageClass, Receipt, Roster

WAIT_S = 10.0
LOOK_S = 0.05
OPERATOR = "operator:mosaic-cli"
_EXIT = {"accepted": 0, "draft": 2, "held": 0, "unknown": 1}
_WORDS = {
    "accepted": "taken",
    "draft": "stands in the prompt, was not taken",
    "held": "queued",
    "unknown": "whether it was taken is unknown",
}
_WHY = {
    "busy": "its turn is running",
    "turn": "a person's turn is running",
    "dialog": "a dialog is open; nothing is typed into it",
    "draft": "somebody's draft stands in the prompt",
    "dead": "its program has ended",
    "nopane": "it has no pane",
    "no-node": "no node",
}


async def send(context: Context, args: dict[str, Any]) -> Document:
    """One message, and what became of it within 10 s."""
    roster, agent = await named(context, args)
    envelope = _envelope(context, roster, agent, args)
    receipt = await _deliver(context, agent, envelope)
    data = {"to": agent.name, "id": envelope.id, **_receipt_data(receipt)}
    verdict = receipt.verdict if receipt else "held"
    if args.get("verify"):
        code = _EXIT[verdict]
        return Document((Code(verdict),), data, ok=code == 0, exit_code=code)
    return Document(
        (Text(f"{agent.shown_as}: {_told(receipt)}", Tone.GOOD if verdict == "accepted" else Tone.WARN),),
        data,
        ok=verdict != "draft",
        exit_code=2 if verdict == "draft" else 0,
    )


async def broadcast(context: Context, args: dict[str, Any]) -> Document:
    """The same to many; who could not be reached is named (exit 8)."""
    roster = await context.roster()
    targets = _audience(context, roster, args)
    said = {"text": args["text"]}

    async def one(agent: AgentDef) -> tuple[str, bool, str]:
        try:
            receipt = await _deliver(context, agent, _envelope(context, roster, agent, said))
        except CommandFailed as problem:
            return agent.name, False, str(problem)
        return agent.name, receipt is None or receipt.verdict in {"accepted", "held"}, _told(receipt)

    results = await asyncio.gather(*(one(agent) for agent in targets))
    failed = [name for name, ok, _ in results if not ok]
    data = {"sent": [{"to": name, "ok": ok, "result": text} for name, ok, text in results]}
    head = Heading(f"{len(results) - len(failed)} of {len(results)} agents have it")
    lines = Bullets(tuple(f"{name}: {text}" for name, _, text in results))
    return Document(
        (head, lines),
        data,
        ok=not failed,
        exit_code=(8 if len(failed) < len(results) else 1) if failed else 0,
    )


async def stop_turn(context: Context, args: dict[str, Any]) -> Document:
    """Escape, ahead of everything that waits; the queue goes on after it."""
    return await _control(context, args, "escape", "⏹ stopped")


async def reset(context: Context, args: dict[str, Any]) -> Document:
    """The runtime's own reset command."""
    return await _control(context, args, "reset", "fresh context")


# --- what each would do ------------------------------------------------------------------------------------


async def plan_send(context: Context, args: dict[str, Any]) -> Plan:
    _, agent = await named(context, args)
    return Plan(f"Send to {agent.name}: {args['text']}", targets=(agent.name,))


async def plan_broadcast(context: Context, args: dict[str, Any]) -> Plan:
    names = [agent.name for agent in _audience(context, await context.roster(), args)]
    effect = f"Send to {len(names)} agents ({', '.join(names)}): {args['text']}"
    return Plan(effect, " ".join(names), tuple(names), wide=True)


async def plan_stop_turn(context: Context, args: dict[str, Any]) -> Plan:
    _, agent = await named(context, args)
    return Plan(f"Press Escape in {agent.name}.", targets=(agent.name,))


async def plan_reset(context: Context, args: dict[str, Any]) -> Plan:
    _, agent = await named(context, args)
    snapshot = await context.snapshot()
    pid = next((row.pane_pid for row in snapshot.agents if row.managed and row.name == agent.name), None)
    return Plan(f"Reset {agent.name}: its context is gone after that.", f"{agent.name}={pid}", (agent.name,))


# --- how ---------------------------------------------------------------------------------------------------


def _audience(context: Context, roster: Roster, args: dict[str, Any]) -> list[AgentDef]:
    wanted = args.get("class")
    here = [a for a in roster.agents if is_here(a.host, this_host()) and wanted in (None, a.agent_class)]
    here = [a for a in here if a.name != context.caller.agent]
    if not here:
        raise CommandFailed(
            f"No agent of class {wanted} on this host." if wanted else "The roster has no agents here.", 1
        )
    return here


def source_of(context: Context) -> str:
    """The label that stands first in the preamble: an agent's own, a person's in chat, else the CLI's."""
    caller = context.caller
    if caller.agent:
        return f"{this_host()}:{caller.agent}"
    return OPERATOR if caller.surface == "cli" else f"{caller.surface}:{caller.person}"


def _envelope(context: Context, roster: Roster, agent: AgentDef, args: dict[str, Any]) -> Envelope:
    text = str(args["text"])
    if not text.strip():
        raise CommandFailed("There is no text to send.", 3)
    return Envelope(
        id=new_id(),
        ts=context.now(),
        tenant_id=agent.tenant_id or roster.tenant_id,
        host=this_host(),
        src=source_of(context),
        dst=f"{this_host()}:{agent.name}",
        body=text,
        message_class=MessageClass(args["class"]) if args.get("class") else None,
        now=bool(args.get("now")) and context.caller.agent is None,
        verified=True,
    )


async def _deliver(context: Context, agent: AgentDef, envelope: Envelope) -> Receipt | None:
    """Queue it and wait up to 10 s for a verdict; None: it waits, nobody looked at it yet."""
    require_here(agent)
    if await Tmux(agent.socket).has_session(agent.name) is False:
        raise CommandFailed(
            f"{agent.name} has no session, so nothing was queued. `fleet start {agent.name}` starts it.", 1
        )
    folder = context.home.mailbox(agent.name)
    try:
        await asyncio.to_thread(mailbox.put, folder, envelope)
        if context.caller.agent and envelope.kind == "message":
            copy = replace(envelope, id=new_id(), mirror=True)
            await asyncio.to_thread(spool.put, context.home.spool, copy)
    except EnvelopeError as problem:
        raise CommandFailed(f"Not sent to {agent.name}: {problem}.", 1) from problem
    except OSError as problem:
        raise CommandFailed(
            f"Not sent to {agent.name}: {folder} cannot be written ({problem.strerror}).", 1
        ) from problem
    if not await asyncio.to_thread(is_locked, context.home.node_lock):
        return Receipt("held", "no-node", 0)
    return await _verdict(folder, envelope.id)


async def _verdict(folder: Path, envelope_id: str) -> Receipt | None:
    latest: Receipt | None = None
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                latest = await asyncio.to_thread(mailbox.result, folder, envelope_id)
                if latest is not None:
                    return latest
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return latest


def _told(receipt: Receipt | None) -> str:
    if receipt is None:
        return "queued; nobody looked at it within 10 s"
    why = _WHY.get(receipt.evidence, receipt.evidence)
    if receipt.verdict == "held":
        return f"queued: {why}"
    return f"{_WORDS[receipt.verdict]} ({why}, {receipt.ms} ms)"


def _receipt_data(receipt: Receipt | None) -> dict[str, Any]:
    if receipt is None:
        return {"verdict": "held", "evidence": None, "ms": None}
    return {"verdict": receipt.verdict, "evidence": receipt.evidence, "ms": receipt.ms}


async def _control(context: Context, args: dict[str, Any], keys: str, word: str) -> Document:
    roster, agent = await named(context, args)
    if not await asyncio.to_thread(is_locked, context.home.node_lock):
        raise CommandFailed(
            f"No node runs, so nobody can press keys in {agent.name}. Start `mosaic node`.", 1
        )
    envelope = _envelope(context, roster, agent, {"text": keys})
    receipt = await _deliver(context, agent, replace(envelope, kind="control", body="", data={"keys": keys}))
    data = {"name": agent.name, "keys": keys, **_receipt_data(receipt)}
    if receipt is not None and receipt.verdict == "accepted":
        return Document.line(f"{agent.shown_as}: {word}.", tone=Tone.GOOD, data=data)
    if receipt is not None and receipt.verdict == "held":
        return Document.line(f"{agent.shown_as}: {_told(receipt)}.", tone=Tone.WARN, data=data)
    why = _WHY.get(receipt.evidence, receipt.evidence) if receipt else "nobody looked at it within 10 s"
    return Document.failure(f"{agent.shown_as}: not done, {why}.", data=data)
